// Checks that options and requests share.

import { configError } from "./errors.js";

/**
 * An interface name as the kernel accepts it (dev_valid_name), 1 to 15 bytes of printable ASCII.
 */
export function checkLinkName(name: unknown, option: string): string {
  const isValid = typeof name === "string" && /^[!-~]{1,15}$/.test(name) && !/[/:%]/.test(name);
  if (!isValid || name === "." || name === ".." || name === "all" || name === "default") {
    throw configError(
      option,
      "an interface name of 1 to 15 characters without space, '/', ':' or '%'",
      name,
    );
  }
  return name as string;
}

/** A whole number from `least` to `most`. */
export function checkWhole(value: unknown, option: string, most: number, least = 0): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
    throw configError(option, `a whole number from ${least} to ${most}`, value);
  }
  return value;
}

/** Refuses anything but an object with known keys. */
export function checkKeys(value: unknown, known: ReadonlySet<string>, what: string): void {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw configError(what, "an object", value);
  const unknown = Object.keys(value).find((key) => !known.has(key));
  if (unknown !== undefined) {
    throw configError(what, `only the options ${[...known].sort().join(", ")}`, unknown);
  }
}
