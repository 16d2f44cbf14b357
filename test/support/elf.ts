// What readelf says of a shared object: what it asks others for, and how it is hardened.

import { execFileSync } from "node:child_process";

function readelf(file: string, ...flags: string[]): string[] {
  const output = execFileSync("readelf", ["--wide", ...flags, file], { encoding: "utf8" });
  return output.split("\n").map((line) => line.trim());
}

/** Undefined symbols, with the version they ask for where they do: "recv@GLIBC_2.2.5". */
export function undefinedSymbols(file: string): string[] {
  return readelf(file, "--dyn-syms")
    .map((line) => line.split(/\s+/))
    .filter((columns) => columns[6] === "UND" && columns[7] !== undefined)
    .map((columns) => columns[7] ?? "");
}

/** What an overflow in the addon would meet. */
export interface Hardening {
  /** Every symbol is resolved when it is loaded, so that all of the table is read-only afterwards. */
  bindNow: boolean;
  /** The loader makes the tables read-only. */
  relro: boolean;
  stackIsExecutable: boolean;
  /** A function that returns over a damaged canary ends the process. */
  stackProtector: boolean;
  /** Built with _FORTIFY_SOURCE: calls the C library's checked variants. */
  fortified: boolean;
}

export function hardeningOf(file: string): Hardening {
  const dynamic = readelf(file, "--dynamic");
  const segments = readelf(file, "--segments").map((line) => line.split(/\s+/));
  const segment = (name: string) => segments.find(([type]) => type === name);
  const symbols = undefinedSymbols(file).map((symbol) => symbol.replace(/@.*/, ""));
  // Columns: type, offset, virtual and physical address, two sizes, flags. Without the segment the kernel
  // makes the stack executable.
  const stackFlags = segment("GNU_STACK")?.[6] ?? "RWE";
  return {
    bindNow: dynamic.some((line) => /\(FLAGS\).*\bBIND_NOW\b/.test(line)),
    relro: segment("GNU_RELRO") !== undefined,
    stackIsExecutable: stackFlags.includes("E"),
    stackProtector: symbols.includes("__stack_chk_fail"),
    // The addon's other calls have sizes that the compiler proves, so open() is the one that shows: __open64_2.
    fortified: symbols.some((name) => /^__(\w+_chk|open\w*_2)$/.test(name)),
  };
}

/** What all builds of the addon must be. */
export const HARDENED: Hardening = {
  bindNow: true,
  relro: true,
  stackIsExecutable: false,
  stackProtector: true,
  fortified: true,
};
