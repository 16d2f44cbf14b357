// Stores of the format before this one, an LMDB file, as LMDB itself writes it: taken over whole,
// and never trusted where they are damaged.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { open } from "lmdb";
import { expect, it } from "vitest";
import type { Lease } from "../../src/lease/lease.js";
import { openStore, standbyLeases, stateDirectory } from "../support/standby-leases.js";

const FORMER_FILE = "standby.mdb";
const PAGE_BYTES = 4096;
const byId = (a: Lease, b: Lease) => (a.instanceId < b.instanceId ? -1 : 1);

/** Puts the leases, one of two of them twice, and removes the last `gone` again. */
async function formerStore(stateDir: string, leases: readonly Lease[], gone = 0): Promise<string> {
  const path = join(stateDir, FORMER_FILE);
  const database = open<object, string>({
    path,
    encoding: "json",
    noSubdir: true,
    mapSize: 64 * 1024 * 1024,
  });
  for (const [i, lease] of leases.entries()) {
    const record = { version: 1, lease: { ...lease, classMinor: 160 } };
    void database.put(lease.instanceId, record);
    if (i % 2 === 0) await database.put(lease.instanceId, record);
  }
  for (const { instanceId } of leases.slice(leases.length - gone))
    await database.remove(instanceId);
  await database.flushed;
  await database.close();
  return path;
}

it.each([
  ["no lease", 0, 0],
  ["one lease", 1, 0],
  ["leases that are gone", 5, 5],
  ["a page of leases", 10, 2],
  ["a tree of leases", 600, 100],
])("one with %s is taken over, once", async (_, count, gone) => {
  const stateDir = stateDirectory();
  const leases = standbyLeases(count);
  const path = await formerStore(stateDir, leases, gone);
  const { store, damage } = await openStore(stateDir);
  expect(damage).toEqual([]);
  expect(store.all().sort(byId)).toEqual(leases.slice(0, count - gone).sort(byId));
  expect([existsSync(path), existsSync(`${path}-lock`)]).toEqual([false, false]);
  await store.close();
  const next = await openStore(stateDir);
  expect(next.store.all()).toEqual(store.all());
});

it("one that a killed process left beside its successor is not read again", async () => {
  const stateDir = stateDirectory();
  const path = await formerStore(stateDir, standbyLeases(3));
  const former = readFileSync(path);
  const { store } = await openStore(stateDir);
  await store.remove("vm-1");
  await store.close();
  writeFileSync(path, former);
  const { store: next, damage } = await openStore(stateDir);
  expect(next.all().map(({ instanceId }) => instanceId)).toEqual(["vm-0", "vm-2"]);
  expect([damage, existsSync(path)]).toEqual([[], false]);
});

it("a damaged one is moved aside, and gives what can be read of it", async () => {
  const leases = standbyLeases(60);
  const whole = readFileSync(await formerStore(stateDirectory(), leases));
  const damaged: Buffer[] = [];
  for (let length = 0; length < whole.length; length += PAGE_BYTES / 2)
    damaged.push(whole.subarray(0, length));
  for (let at = 0; at < whole.length; at += PAGE_BYTES) {
    damaged.push(Buffer.from(whole).fill(0, at, at + PAGE_BYTES));
    damaged.push(Buffer.from(whole).fill(0xa5, at + 8, at + PAGE_BYTES));
    const inItself = Buffer.from(whole);
    inItself.copy(inItself, at, 0, PAGE_BYTES);
    damaged.push(inItself);
  }
  damaged.push(Buffer.from("hello\n".repeat(3000)));
  let told = 0;
  for (const content of damaged) {
    const stateDir = stateDirectory();
    writeFileSync(join(stateDir, FORMER_FILE), content);
    const { store, damage } = await openStore(stateDir);
    for (const lease of store.all()) expect(leases).toContainEqual(lease);
    // A page that is no longer of the tree may be damaged without harm.
    if (damage.length === 0) expect(store.all().length).toBe(leases.length);
    else expect(readFileSync(damage[0]?.movedTo as string).equals(content)).toBe(true);
    told += damage.length;
    await store.close();
  }
  expect(told).toBeGreaterThan(damaged.length / 3);
});
