// The writer of a state directory: what somebody does to directory and files under a running process
// is noticed before anything counts as written.

import { execFileSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { GroupStore } from "../../src/lease/group-store.js";
import { StandbyStore } from "../../src/lease/standby-store.js";
import type { StoreDamage } from "../../src/state/aside.js";
import { StateDir } from "../../src/state/state-dir.js";
import { openStore, STORE_FILE, standbyLease, stateDirectory } from "../support/standby-leases.js";

const LIMITS = { rate: 10e6, ceil: 20e6 };
const ELSEWHERE = { code: "ERR_FORKNET_KERNEL", errnoName: "ESTALE" };

/** A locked directory with vm-1 in standby and limits of group "a", as one process has it open. */
async function openState(stateDir = stateDirectory()) {
  const damage: StoreDamage[] = [];
  const state = StateDir.open(stateDir, { onDamage: (one) => damage.push(one) });
  expect(state.lock()).toBeUndefined();
  const store = await StandbyStore.open(state);
  const groups = await GroupStore.open(state);
  onTestFinished(async () => {
    await store.close();
    await state.close();
  });
  await store.put(standbyLease(1));
  await groups.put("a", LIMITS);
  return { stateDir, state, store, groups, damage };
}

/** What the next process finds. */
async function found(stateDir: string) {
  const { store, damage } = await openStore(stateDir);
  const state = StateDir.open(stateDir);
  onTestFinished(() => state.close());
  const groups = await GroupStore.open(state);
  const ids = store.all().map(({ instanceId }) => instanceId);
  return { ids, groups: [...groups.all().keys()], damage };
}

const WHOLE = { ids: ["vm-1", "vm-2"], groups: ["a"], damage: [] };

describe("a file", () => {
  const spoilings: [string, (path: string) => void, string][] = [
    ["removed", (path) => rmSync(path), ""],
    ["renamed", (path) => renameSync(path, `${path}.mine`), ""],
    ["replaced by a file", (path) => replace(path, "somebody's"), "somebody's"],
    ["replaced by a link", (path) => link(path), ""],
  ];
  it.each(spoilings)("that was %s is written anew from memory, and told", async (_, spoil, was) => {
    const { stateDir, store, groups, damage } = await openState();
    for (const name of [STORE_FILE, "groups"]) spoil(join(stateDir, name));
    await store.put(standbyLease(2));
    await groups.put("a", LIMITS);
    expect(damage).toMatchObject([
      { kept: 1, reason: expect.stringContaining(STORE_FILE) as string },
      { kept: 1, reason: expect.stringContaining("groups") as string },
    ]);
    if (was !== "") expect(readFileSync(damage[0]?.movedTo as string, "latin1")).toBe(was);
    expect(await found(stateDir)).toEqual(WHOLE);
  });

  it("is made as a new one, whatever lies where it is written first", async () => {
    const { stateDir, store, groups } = await openState();
    const victim = join(stateDirectory(), "victim");
    writeFileSync(victim, "precious", { mode: 0o644 });
    for (const name of [STORE_FILE, "groups"]) {
      rmSync(join(stateDir, name));
      symlinkSync(victim, join(stateDir, `${name}.new`));
    }
    await store.put(standbyLease(2));
    await groups.put("a", LIMITS);
    expect(await found(stateDir)).toEqual(WHOLE);
    linkSync(victim, join(stateDir, "groups.new"));
    await groups.put("a", LIMITS);
    expect(readFileSync(victim, "utf8")).toBe("precious");
    expect(statSync(victim).mode & 0o777).toBe(0o644);
    expect(lstatSync(join(stateDir, "groups")).isFile()).toBe(true);
  });

  it("that is no file is told apart without waiting", async () => {
    const stateDir = stateDirectory();
    const state = StateDir.open(stateDir);
    onTestFinished(() => state.close());
    execFileSync("mkfifo", [join(stateDir, "pipe")]);
    mkdirSync(join(stateDir, "directory"));
    symlinkSync("/etc/hostname", join(stateDir, "link"));
    execFileSync("truncate", ["-s", "1G", join(stateDir, "huge")]);
    for (const name of ["pipe", "directory", "link", "huge"])
      expect(await state.read(name)).toMatchObject({
        fault: expect.stringMatching(/^it /) as string,
        content: Buffer.alloc(0),
      });
    expect(await state.read("nothing")).toBeUndefined();
  });
});

describe("a directory", () => {
  it("that was removed is made anew with all that was in it", async () => {
    const parent = stateDirectory();
    const { stateDir, state, store, damage } = await openState(join(parent, "a", "b"));
    let moves = 0;
    state.onMoved = () => moves++;
    rmSync(join(parent, "a"), { recursive: true });
    await store.put(standbyLease(2));
    expect([moves, damage.length]).toEqual([1, 1]);
    expect(damage).toMatchObject([{ kept: 2, movedTo: "" }]);
    expect(await found(stateDir)).toEqual(WHOLE);
    expect(statSync(stateDir).mode & 0o777).toBe(0o700);
    const lock = StateDir.open(stateDir);
    onTestFinished(() => lock.close());
    expect(lock.lock()).toBe(process.pid);
  });

  it("that was removed and made again by somebody is taken over when it is empty", async () => {
    const { stateDir, groups } = await openState();
    rmSync(stateDir, { recursive: true });
    mkdirSync(stateDir, { mode: 0o700 });
    await groups.put("b", LIMITS);
    expect(await found(stateDir)).toMatchObject({ ids: ["vm-1"], groups: ["a", "b"] });
  });

  const placed: [string, (stateDir: string) => void][] = [
    ["moved away", () => {}],
    ["moved away, and an empty one put in its place", (path) => mkdirSync(path)],
    ["replaced by a link", (path) => symlinkSync(stateDirectory(), path)],
    ["replaced by a file", (path) => writeFileSync(path, "")],
  ];
  it.each(placed)(
    "that was %s is not written, and serves again when it is back",
    async (_, put) => {
      const { stateDir, store, groups, damage } = await openState();
      const away = join(stateDirectory(), "away");
      renameSync(stateDir, away);
      put(stateDir);
      const refused = () => expect(store.put(standbyLease(2))).rejects.toMatchObject(ELSEWHERE);
      await refused();
      await refused();
      await expect(groups.put("b", LIMITS)).rejects.toMatchObject(ELSEWHERE);
      expect([store.has("vm-1"), store.has("vm-2")]).toEqual([true, false]);
      // Neither where it was nor where it is.
      expect((await found(away)).ids).toEqual(["vm-1"]);
      if (existsSync(stateDir) && lstatSync(stateDir).isDirectory())
        expect(readdirSync(stateDir)).toEqual([]);
      rmSync(stateDir, { recursive: true, force: true });
      renameSync(away, stateDir);
      await store.put(standbyLease(2));
      expect([await found(stateDir), damage]).toEqual([WHOLE, []]);
    },
  );

  it("that was removed is not written when another with files is in its place", async () => {
    const { stateDir, store } = await openState();
    rmSync(stateDir, { recursive: true });
    mkdirSync(stateDir, { mode: 0o700 });
    writeFileSync(join(stateDir, STORE_FILE), "somebody's");
    await expect(store.put(standbyLease(2))).rejects.toMatchObject(ELSEWHERE);
    expect(readdirSync(stateDir)).toEqual([STORE_FILE]);
    expect(readFileSync(join(stateDir, STORE_FILE), "utf8")).toBe("somebody's");
  });
});

describe("a lock file", () => {
  it("that was removed is taken again, and what was there is written", async () => {
    const { stateDir, store, damage } = await openState();
    rmSync(join(stateDir, "lock"));
    await store.put(standbyLease(2));
    const other = StateDir.open(stateDir);
    onTestFinished(() => other.close());
    expect(other.lock()).toBe(process.pid);
    expect([await found(stateDir), damage]).toEqual([WHOLE, []]);
  });

  it("that somebody else has by now ends the writing", async () => {
    const { stateDir, store } = await openState();
    rmSync(join(stateDir, "lock"));
    const other = StateDir.open(stateDir);
    onTestFinished(() => other.close());
    expect(other.lock()).toBeUndefined();
    await expect(store.put(standbyLease(2))).rejects.toMatchObject({
      code: "ERR_FORKNET_CONFLICT",
      holderPid: process.pid,
    });
    expect((await found(stateDir)).ids).toEqual(["vm-1"]);
  });

  it.each([
    ["a link", (path: string, victim: string) => symlinkSync(victim, path)],
    ["a file with two names", (path: string, victim: string) => linkSync(victim, path)],
    ["a pipe", (path: string) => void execFileSync("mkfifo", [path])],
    ["a directory", (path: string) => mkdirSync(path)],
  ])("that is %s is refused, and nothing is written through it", (_, plant) => {
    const stateDir = stateDirectory();
    const victim = join(stateDir, "victim");
    writeFileSync(victim, "precious");
    plant(join(stateDir, "lock"), victim);
    const state = StateDir.open(stateDir);
    onTestFinished(() => state.close());
    expect(() => state.lock()).toThrow(expect.objectContaining({ code: "ERR_FORKNET_CONFIG" }));
    expect(readFileSync(victim, "utf8")).toBe("precious");
  });
});

function replace(path: string, content: string): void {
  rmSync(path);
  writeFileSync(path, content);
}

function link(path: string): void {
  rmSync(path);
  symlinkSync("/etc/hostname", path);
}
