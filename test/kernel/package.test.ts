// The packages as they are published: what is in them, and the main one installed in a clean folder, without
// scripts, without a registry, and used in this file's namespace.

import { type ExecFileSyncOptionsWithStringEncoding, execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HARDENED, hardeningOf, undefinedSymbols } from "../support/elf.js";
import { patiently } from "../support/patience.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
// Both addons are compiled when a source changed.
const MAKE_TIMEOUT_MS = patiently(300_000);
/** e_machine of an ELF file, at byte 18. */
const MACHINES = { x64: 62, arm64: 183 } as const;
/** glibc of Debian 12 and Ubuntu 22.04 is newer; the README promises this one. */
const NEWEST_GLIBC = [2, 32] as const;

type Manifest = Record<string, unknown> & { name: string; version: string };

let main = "";
let platforms: string[] = [];
const folder = mkdtempSync(join(tmpdir(), "forknet-package-"));

const text: ExecFileSyncOptionsWithStringEncoding = {
  encoding: "utf8",
  stdio: ["ignore", "pipe", "pipe"],
};

beforeAll(() => {
  const output = execFileSync(process.execPath, [join(root, "scripts/packages.mjs")], text);
  [main = "", ...platforms] = output.trim().split("\n");
}, MAKE_TIMEOUT_MS);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function readPacked(tarball: string, path: string): Buffer {
  return execFileSync("tar", ["-xzOf", tarball, `package/${path}`], { maxBuffer: 1 << 24 });
}

function manifestOf(tarball: string): Manifest {
  return JSON.parse(readPacked(tarball, "package.json").toString()) as Manifest;
}

function list(tarball: string): string[] {
  return execFileSync("tar", ["-tzf", tarball], text).trim().split("\n").sort();
}

test("the main package names every platform's package and runs nothing at installation", () => {
  const { optionalDependencies, scripts, devDependencies, gypfile, version } = manifestOf(main);
  expect({ optionalDependencies, scripts, devDependencies, gypfile }).toEqual({
    optionalDependencies: {
      "@forknet/linux-x64-gnu": version,
      "@forknet/linux-arm64-gnu": version,
    },
    scripts: { "build:addon": "node scripts/build-addon.mjs" },
    devDependencies: undefined,
    gypfile: false,
  });
  expect(list(main).filter((path) => /\btest|build\/|\.node$/.test(path))).toEqual([]);
});

test.each(["x64", "arm64"] as const)("the package for %s is for that machine", (arch) => {
  const tarball = platforms.find((path) => path.includes(`-${arch}-`)) ?? "";
  expect(manifestOf(tarball)).toMatchObject({
    name: `@forknet/linux-${arch}-gnu`,
    os: ["linux"],
    cpu: [arch],
    libc: ["glibc"],
  });
  expect(manifestOf(tarball)).not.toHaveProperty("scripts");
  expect(list(tarball)).toEqual(
    ["LICENSE", "README.md", "forknet.node", "package.json"].map((name) => `package/${name}`),
  );
  const addon = readPacked(tarball, "forknet.node");
  expect(addon.subarray(0, 4).toString("latin1")).toBe("\x7fELF");
  expect(addon.readUInt16LE(18)).toBe(MACHINES[arch]);

  const file = join(folder, `${arch}.node`);
  writeFileSync(file, addon);
  const symbols = undefinedSymbols(file);
  const newest = symbols
    .map((symbol) => /@GLIBC_(\d+)\.(\d+)/.exec(symbol))
    .map((match) => [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)])
    .filter(([major = 0, minor = 0]) => major > NEWEST_GLIBC[0] || minor > NEWEST_GLIBC[1]);
  expect(newest).toEqual([]);
  // What a loader would look for in vain: neither Node's, nor a library's with a version, nor weak by nature.
  const foreign = symbols.filter(
    (symbol) => !/^(napi_|node_api_|_ITM_|__gmon_start__)|@/.test(symbol),
  );
  expect(foreign).toEqual([]);
  expect(hardeningOf(file)).toEqual(HARDENED);
});

test("installed with scripts disabled it is imported, opens, forks and releases", () => {
  const consumer = join(folder, "consumer");
  install(consumer, platforms);
  const program = `
    import { openNetwork } from "forknet";
    const network = await openNetwork({
      bridge: "fkpack0", subnet: "10.77.0.0/24", pool: { size: 2 }, stateDir: ${JSON.stringify(join(folder, "state"))},
    });
    const vm = await network.createAllocation({ instanceId: "a", instanceName: "a", upload: "10mbit" });
    await vm.shaped;
    console.log(vm.state, vm.shaping);
    await network.releaseAllocation("a");
    await network.destroy();
  `;
  expect(run(consumer, program)).toBe("active shaped\n");
  const help = execFileSync(join(consumer, "node_modules/.bin/forknet"), ["--help"], text);
  expect(help).toContain("forknet");
});

test("without a package for the platform the import works and openNetwork says how to build", () => {
  const consumer = join(folder, "bare");
  install(consumer, []);
  const program = `
    import { openNetwork } from "forknet";
    await openNetwork({ bridge: "br0", subnet: "10.77.0.0/24", stateDir: ${JSON.stringify(join(folder, "none"))} })
      .catch(({ code, message }) => console.log(code, message));
  `;
  expect(run(consumer, program)).toMatch(
    /^ERR_FORKNET_UNSUPPORTED .*npm explore forknet -- npm run build:addon/,
  );
});

/** The packages of the run-time dependencies come from this checkout, so that no registry is asked. */
function install(consumer: string, addons: readonly string[]): void {
  mkdirSync(consumer);
  const { dependencies, peerDependencies } = manifestOf(main) as Manifest & {
    dependencies: Record<string, string>;
    peerDependencies: Record<string, string>;
  };
  const local = Object.keys({ ...dependencies, ...peerDependencies }).map(
    (name) => [name, `file:${join(root, "node_modules", name)}`] as const,
  );
  const fitting = addons.filter((path) => basename(path).includes(`-${process.arch}-`));
  const addon = fitting.map((path) => [manifestOf(path).name, `file:${path}`] as const);
  const packages = Object.fromEntries([["forknet", `file:${main}`], ...local, ...addon]);
  const manifest = { name: "consumer", private: true, type: "module", dependencies: packages };
  writeFileSync(join(consumer, "package.json"), JSON.stringify(manifest));
  const flags = ["--ignore-scripts", "--offline", "--install-links", "--no-audit", "--no-fund"];
  execFileSync("npm", ["install", ...flags], { ...text, cwd: consumer });
}

function run(consumer: string, program: string): string {
  const file = join(consumer, "program.mjs");
  writeFileSync(file, program);
  const output = execFileSync(process.execPath, [file], { ...text, cwd: consumer });
  expect(readFileSync(join(consumer, "node_modules/forknet/package.json"), "utf8")).toContain(
    "optionalDependencies",
  );
  return output;
}
