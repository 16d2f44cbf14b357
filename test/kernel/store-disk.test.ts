// Disks that are full or read-only, and processes that are killed: what standbyAllocation promised
// holds, and what it could not do it has not half done.

import { execFileSync } from "node:child_process";
import { closeSync, copyFileSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { NetworkOptions } from "../../dist/index.js";
import { Agent, type PlainAllocation } from "../support/agent.js";
import { brokenInvariants } from "../support/invariants.js";
import { classNamed, linkNamed, readLeases, tbfOf } from "../support/kernel-view.js";
import { openForTest, SHAPER, testOptions } from "../support/network.js";
import { patiently } from "../support/patience.js";
import { openStore, STORE_FILE, stateDirectory } from "../support/standby-leases.js";

type Options = NetworkOptions & { stateDir: string };

/** For deletions in the background. */
const SETTLE_MS = patiently(10_000);
const request = (i: number) => ({
  instanceId: `vm-${i}`,
  instanceName: `name-${i}`,
  download: "100mbit",
  upload: "20mbit",
});

/** An agent whose state directory is a disk of this size; the disk is gone when the agent is. */
function agentWithDisk({ stateDir }: Options, size: string): Agent {
  const mount = `mount -t tmpfs -o size=${size},mode=700 none ${stateDir} && exec "$@"`;
  return new Agent(["unshare", "--mount", "sh", "-c", mount, "sh"]);
}

/** An agent that finds vm-1 in standby on its disk. */
async function agentWithStandby(options: Options): Promise<Agent> {
  const agent = agentWithDisk(options, "64k");
  await agent.open(options);
  await agent.fork(request(1));
  await agent.call("standbyAllocation", "vm-1");
  await agent.call("close");
  await agent.open(options);
  return agent;
}

/** The state directory as the agent sees it. */
const insideOf = (agent: Agent, { stateDir }: Options) => `/proc/${agent.pid}/root${stateDir}`;

/** Leaves not one page on the agent's disk; the returned function gives the space back. */
function fillDisk(agent: Agent, options: Options): () => void {
  const path = `${insideOf(agent, options)}/filler`;
  const file = openSync(path, "w");
  try {
    for (;;) writeSync(file, Buffer.alloc(4096));
  } catch (error) {
    expect(error).toMatchObject({ code: "ENOSPC" });
  } finally {
    closeSync(file);
  }
  return () => rmSync(path);
}

/** Makes the agent's disk read-only; the returned function makes it writable again. */
function makeReadOnly(agent: Agent, { stateDir }: Options): () => void {
  const run = (command: string) =>
    execFileSync("nsenter", ["--target", String(agent.pid), "--mount", "sh", "-c", command]);
  run(`mount -o remount,ro ${stateDir}`);
  return () => void run(`mount -o remount,rw ${stateDir}`);
}

function expectActiveAndLimited({ instanceId, tap, classId, ifindex }: PlainAllocation): void {
  expect(linkNamed(tap)).toMatchObject({ ifindex, up: true });
  expect(tbfOf(tap)?.rate).toBe(12_500_000);
  expect(classNamed(SHAPER, classId)?.rate).toBe(2_500_000);
  expect(readLeases(SHAPER).get(ifindex)?.instanceId).toBe(instanceId);
}

const identitiesOf = (guests: readonly PlainAllocation[]) =>
  new Map(guests.map(({ instanceId, ip, mac }) => [instanceId, `${ip} ${mac}`]));

const disks = [
  ["full", fillDisk, { code: "ERR_FORKNET_KERNEL", errnoName: "ENOSPC" }],
  ["read-only", makeReadOnly, { code: "ERR_FORKNET_PERMISSION", errnoName: "EROFS" }],
] as const;

describe.each(disks)("while the disk is %s", (_, spoil, refusal) => {
  it("a standby is refused, and the guest stays as it is until there is space", async () => {
    const options = testOptions() as Options;
    const agent = agentWithDisk(options, "64k");
    await agent.open(options);
    const guest = await agent.fork(request(1));
    const mend = spoil(agent, options);
    for (let i = 0; i < 2; i++) {
      await expect(agent.call("standbyAllocation", "vm-1")).rejects.toMatchObject(refusal);
      expect(await agent.call("getAllocation", "vm-1")).toMatchObject({ state: "active" });
      expectActiveAndLimited(guest);
    }
    mend();
    await agent.call("standbyAllocation", "vm-1");
    expect(linkNamed(guest.tap)).toBeUndefined();
    await agent.call("close");
    expect(await agent.open(options)).toMatchObject([{ instanceId: "vm-1", state: "standby" }]);
    await agent.call("destroy");
  });

  it("a restore succeeds, and its guest is live for the next process", async () => {
    const options = testOptions() as Options;
    const agent = await agentWithStandby(options);
    const mend = spoil(agent, options);
    const guest = (await agent.call("recreateAllocation", "vm-1")) as PlainAllocation;
    expectActiveAndLimited(guest);
    mend();
    await agent.call("close");
    const { instanceId, tap } = guest;
    expect(await agent.open(options)).toMatchObject([{ instanceId, tap, state: "active" }]);
    expectActiveAndLimited(guest);
    await agent.call("destroy");
  });

  it("a guest in standby cannot be released or changed, and can be afterwards", async () => {
    const options = testOptions() as Options;
    const agent = await agentWithStandby(options);
    const mend = spoil(agent, options);
    await expect(agent.call("releaseAllocation", "vm-1")).rejects.toMatchObject(refusal);
    const change = agent.call("updateLimits", "vm-1", { download: "1mbit" });
    await expect(change).rejects.toMatchObject(refusal);
    expect(await agent.call("getAllocation", "vm-1")).toMatchObject({ state: "standby" });
    mend();
    await agent.call("releaseAllocation", "vm-1");
    expect(await agent.call("listAllocations")).toEqual([]);
    await agent.call("destroy");
  });
});

it("a disk that fills up in the middle keeps what was stored before", async () => {
  const GUESTS = 40;
  const options = testOptions() as Options;
  const agent = agentWithDisk(options, "64k");
  await agent.open(options);
  const guests: PlainAllocation[] = [];
  for (let i = 0; i < GUESTS; i++) guests.push(await agent.fork(request(i)));
  await agent.call("standbyAllocation", "vm-0");
  const mend = fillDisk(agent, options);
  const stored = new Set(["vm-0"]);
  let refused = 0;
  for (const { instanceId } of guests.slice(1)) {
    const isStored = await agent.call("standbyAllocation", instanceId).then(
      () => true,
      () => false,
    );
    if (isStored) stored.add(instanceId);
    else refused++;
  }
  // What is left of the last page has room for some, and for no more.
  expect(stored.size).toBeGreaterThan(1);
  expect(refused).toBeGreaterThan(GUESTS / 4);
  for (const guest of guests) if (!stored.has(guest.instanceId)) expectActiveAndLimited(guest);
  // What was refused is not half on disk either: a process killed here would be found like this.
  const copy = stateDirectory();
  copyFileSync(join(insideOf(agent, options), STORE_FILE), join(copy, STORE_FILE));
  const { store, damage } = await openStore(copy);
  expect([new Set(store.all().map(({ instanceId }) => instanceId)), damage]).toEqual([stored, []]);
  mend();
  const left = guests.filter(({ instanceId }) => !stored.has(instanceId)).slice(0, 3);
  for (const { instanceId } of left) {
    await agent.call("standbyAllocation", instanceId);
    stored.add(instanceId);
  }
  await agent.call("close");
  const found = await agent.open(options);
  const inStandby = found.filter(({ state }) => state === "standby");
  expect(new Set(inStandby.map(({ instanceId }) => instanceId))).toEqual(stored);
  expect(found.length).toBe(GUESTS);
  await agent.call("destroy");
});

describe("after kill -9", () => {
  it("right behind a standby, the guest is in standby", async () => {
    const options = testOptions();
    for (let i = 0; i < 5; i++) {
      const agent = new Agent();
      await agent.open(options);
      await agent.fork(request(i));
      await agent.call("standbyAllocation", `vm-${i}`);
      await agent.kill();
    }
    const network = await openForTest(options);
    expect(network.listAllocations().map(({ state }) => state)).toEqual(Array(5).fill("standby"));
    expect(network.storeDamage).toEqual([]);
  });

  it("in the middle of many, each guest is there once, and no promise is broken", async () => {
    const GUESTS = 12;
    const options = testOptions();
    for (let round = 0; round < 8; round++) {
      const agent = new Agent();
      await agent.open(options);
      const forks = await Promise.all(
        Array.from({ length: GUESTS }, (_, i) => agent.fork(request(i))),
      );
      const promised = new Set<string>();
      for (const { instanceId } of forks) {
        agent.call("standbyAllocation", instanceId).then(
          () => promised.add(instanceId),
          () => {},
        );
      }
      await setTimeout(round * 4);
      await agent.kill();
      const network = await openForTest(options);
      expect(network.storeDamage).toEqual([]);
      // What the kill left half done is deleted in the background.
      await expect.poll(() => brokenInvariants(network), { timeout: SETTLE_MS }).toEqual([]);
      expect(identitiesOf(network.listAllocations())).toEqual(identitiesOf(forks));
      for (const { instanceId, state } of network.listAllocations()) {
        if (promised.has(instanceId)) expect(state).toBe("standby");
        if (state === "standby") await network.recreateAllocation(instanceId);
      }
      await network.destroy();
    }
  });
});
