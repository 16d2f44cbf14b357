// The two locks and the unix sockets: one holder at a time, told to everybody else by pid and uid,
// and free again when the holder is gone.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { binaryPath } from "./addon-binary.js";
import { addon, thrown } from "./addon-fixture.js";

const directory = mkdtempSync(join(tmpdir(), "forknet-lock-"));
afterAll(() => rmSync(directory, { recursive: true }));
const NOBODY = 65_534;
const OURS = { pid: process.pid, uid: 0 };

/** A process that does `call` and waits until it is killed; the addon is loaded as root. */
async function holder(call: string, uid = 0) {
  const child = spawn(process.execPath, [
    "-e",
    `const addon = require(${JSON.stringify(binaryPath())}); process.setuid(${uid});
     ${call}; console.log("held"); setInterval(() => {}, 1e6)`,
  ]);
  await once(child.stdout, "data");
  return {
    pid: child.pid as number,
    kill: async () => {
      const gone = once(child, "close");
      child.kill("SIGKILL");
      await gone;
    },
  };
}

const path = (name: string) => join(directory, name);
const refusal = (code: string, syscall: string) => ({ code, syscall });

describe("lockAbstract", () => {
  it("has one holder in a process, and is free when its descriptor is closed", () => {
    for (let i = 0; i < 3; i++) {
      const taken = addon.lockAbstract("forknet-test");
      if (!("fd" in taken)) throw new Error(`held by ${taken.holder?.pid}`);
      expect(addon.lockAbstract("forknet-test")).toEqual({ holder: OURS });
      expect(addon.lockAbstract("forknet-test")).toEqual({ holder: OURS });
      addon.closeFd(taken.fd);
    }
  });

  it.each([0, NOBODY])("tells who of uid %i holds it, and outlives no kill", async (uid) => {
    const other = await holder('addon.lockAbstract("forknet-test")', uid);
    expect(addon.lockAbstract("forknet-test")).toEqual({ holder: { pid: other.pid, uid } });
    await other.kill();
    const taken = addon.lockAbstract("forknet-test");
    if (!("fd" in taken)) throw new Error(`held by ${taken.holder?.pid}`);
    addon.closeFd(taken.fd);
  });

  it("takes names of 1 to 107 bytes", () => {
    const taken = addon.lockAbstract("x".repeat(107));
    expect(taken).toHaveProperty("fd");
    if ("fd" in taken) addon.closeFd(taken.fd);
    expect(() => addon.lockAbstract("x".repeat(108))).toThrow(TypeError);
    expect(() => addon.lockAbstract("")).toThrow(TypeError);
  });
});

describe("connectAbstract", () => {
  it("finds nobody, and takes nothing", () => {
    const error = thrown(() => addon.connectAbstract("forknet-visit"));
    expect(error).toMatchObject(refusal("ECONNREFUSED", "connect"));
    const taken = addon.lockAbstract("forknet-visit");
    expect(taken).toHaveProperty("fd");
    if ("fd" in taken) addon.closeFd(taken.fd);
  });

  it("reaches the holder, in another process too", async () => {
    const other = await holder('addon.lockAbstract("forknet-visit")', NOBODY);
    const { fd, ...peer } = addon.connectAbstract("forknet-visit");
    expect(peer).toEqual({ pid: other.pid, uid: NOBODY });
    expect(addon.peerOf(fd)).toEqual(peer);
    addon.closeFd(fd);
    await other.kill();
    expect(() => addon.connectAbstract("forknet-visit")).toThrow(/ECONNREFUSED/);
  });

  it("takes names of 1 to 107 bytes", () => {
    expect(() => addon.connectAbstract("x".repeat(108))).toThrow(TypeError);
    expect(() => addon.connectAbstract("")).toThrow(TypeError);
  });
});

describe("listenPath", () => {
  it("makes a socket that is for nobody else from the start", () => {
    const former = process.umask(0);
    const fd = addon.listenPath(path("s"));
    process.umask(former);
    expect(statSync(path("s")).mode & 0o7777).toBe(0o600);
    const connected = addon.connectPath(path("s"));
    expect(connected).toMatchObject(OURS);
    for (const one of [connected.fd, fd]) addon.closeFd(one);
    expect(thrown(() => addon.connectPath(path("s")))).toMatchObject(
      refusal("ECONNREFUSED", "connect"),
    );
  });

  it("takes no path that is there, and goes through no link", () => {
    symlinkSync(path("elsewhere"), path("link"));
    expect(thrown(() => addon.listenPath(path("link")))).toMatchObject(
      refusal("EADDRINUSE", "bind"),
    );
    expect(() => statSync(path("elsewhere"))).toThrow(/ENOENT/);
  });

  it("says what it could not do", () => {
    expect(thrown(() => addon.listenPath(path("no/s")))).toMatchObject(refusal("ENOENT", "bind"));
    expect(thrown(() => addon.connectPath(path("no/s")))).toMatchObject(
      refusal("ENOENT", "connect"),
    );
    const long = path("x".repeat(108 - directory.length));
    expect(thrown(() => addon.listenPath(long))).toMatchObject({ code: "ENAMETOOLONG" });
  });
});

describe("lockFile", () => {
  it("has one holder in a process, and is free when its descriptor is closed", () => {
    for (let i = 0; i < 3; i++) {
      const [first, second] = [openSync(path("lock"), "w"), openSync(path("lock"), "w")];
      expect(addon.lockFile(first)).toBe(true);
      expect([addon.lockFile(second), addon.lockFile(second)]).toEqual([false, false]);
      closeSync(first);
      expect(addon.lockFile(second)).toBe(true);
      closeSync(second);
    }
  });

  it("is free when another process that holds it is killed", async () => {
    const fd = openSync(path("lock"), "w");
    const name = JSON.stringify(path("lock"));
    const other = await holder(`addon.lockFile(require("fs").openSync(${name}, "w"))`);
    expect(addon.lockFile(fd)).toBe(false);
    await other.kill();
    expect(addon.lockFile(fd)).toBe(true);
    closeSync(fd);
  });

  it("says what it could not do", () => {
    expect(thrown(() => addon.lockFile(999_999))).toMatchObject(refusal("EBADF", "flock"));
  });
});
