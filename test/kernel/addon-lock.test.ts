// The two locks: one holder at a time, the holder's pid for everybody else, free again when the
// holder is gone.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { binaryPath } from "./addon-binary.js";
import { addon, thrown } from "./addon-fixture.js";

const directory = mkdtempSync(join(tmpdir(), "forknet-lock-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** A process that holds the lock until it is killed. */
async function holder(call: string) {
  const child = spawn(process.execPath, [
    "-e",
    `require(${JSON.stringify(binaryPath())}).${call}; console.log("held"); setInterval(() => {}, 1e6)`,
  ]);
  await once(child.stdout, "data");
  return {
    pid: child.pid,
    kill: async () => {
      const gone = once(child, "close");
      child.kill("SIGKILL");
      await gone;
    },
  };
}

const locks = [
  ["lockAbstract", "forknet-test", (name: string) => addon.lockAbstract(name)],
  ["lockFile", join(directory, "lock"), (path: string) => addon.lockFile(path)],
] as const;

describe.each(locks)("%s", (call, name, lock) => {
  it("has one holder in a process, and is free when its descriptor is closed", () => {
    for (let i = 0; i < 3; i++) {
      const taken = lock(name);
      if (!("fd" in taken)) throw new Error(`held by ${taken.holder}`);
      expect(lock(name)).toEqual({ holder: process.pid });
      expect(lock(name)).toEqual({ holder: process.pid });
      addon.closeFd(taken.fd);
    }
  });

  it("names another process that holds it, and outlives no kill", async () => {
    const other = await holder(`${call}(${JSON.stringify(name)})`);
    expect(lock(name)).toEqual({ holder: other.pid });
    await other.kill();
    const taken = lock(name);
    if (!("fd" in taken)) throw new Error(`held by ${taken.holder}`);
    addon.closeFd(taken.fd);
  });
});

describe("lockAbstract", () => {
  it("takes names of 1 to 107 bytes", () => {
    const taken = addon.lockAbstract("x".repeat(107));
    expect(taken).toHaveProperty("fd");
    if ("fd" in taken) addon.closeFd(taken.fd);
    expect(() => addon.lockAbstract("x".repeat(108))).toThrow(TypeError);
    expect(() => addon.lockAbstract("")).toThrow(TypeError);
  });
});

describe("visitAbstract", () => {
  it("finds nobody, and takes nothing", () => {
    expect(addon.visitAbstract("forknet-visit")).toBeUndefined();
    const taken = addon.lockAbstract("forknet-visit");
    expect(taken).toHaveProperty("fd");
    if ("fd" in taken) addon.closeFd(taken.fd);
  });

  it("reaches the holder, in another process too", async () => {
    const other = await holder('lockAbstract("forknet-visit")');
    const visit = addon.visitAbstract("forknet-visit");
    expect(visit?.holder).toBe(other.pid);
    addon.closeFd(visit?.fd as number);
    await other.kill();
    expect(addon.visitAbstract("forknet-visit")).toBeUndefined();
  });

  it("takes names of 1 to 107 bytes", () => {
    expect(() => addon.visitAbstract("x".repeat(108))).toThrow(TypeError);
    expect(() => addon.visitAbstract("")).toThrow(TypeError);
  });
});

describe("lockFile", () => {
  it("is for nobody else's eyes and holds the pid", () => {
    const path = join(directory, "mode");
    const taken = addon.lockFile(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path, "utf8")).toBe(`${process.pid}\n`);
    if ("fd" in taken) addon.closeFd(taken.fd);
  });

  it("replaces a longer leftover", () => {
    const path = join(directory, "leftover");
    writeFileSync(path, "99999999999999999999\n".repeat(10));
    const taken = addon.lockFile(path);
    expect(readFileSync(path, "utf8")).toBe(`${process.pid}\n`);
    if ("fd" in taken) addon.closeFd(taken.fd);
  });

  it("says what it could not open", () => {
    const path = join(directory, "no", "such", "directory");
    const error = thrown(() => addon.lockFile(path));
    expect(error).toMatchObject({
      code: "ENOENT",
      syscall: "open",
      message: expect.stringContaining(path),
    });
  });
});
