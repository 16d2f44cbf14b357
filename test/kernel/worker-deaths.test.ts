// A worker's thread dies (an exception that nobody catches, process.exit, no memory), idle or in a
// burst: every call settles, the agent lives, kernel and network agree without anybody's help, and
// what comes later is served.

import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import type { Allocation, ForknetError, Network } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { Deaths } from "../support/deaths.js";
import { published } from "../support/events.js";
import { brokenInvariants } from "../support/invariants.js";
import { compareKernelStates } from "../support/kernel-state.js";
import { tellKernel } from "../support/kernel-view.js";
import { destroyNetwork, testOptions } from "../support/network.js";
import { readEverything } from "../support/network-state.js";
import { patiently } from "../support/patience.js";

const WORKERS = ["create", "shape", "reap"] as const;
const DEATHS = ["throw", "exit", "memory"] as const;
const CASES = WORKERS.flatMap((worker) => DEATHS.map((death) => [worker, death] as const));
const BURST = 100;
const POOL = 20;
/** Every worker has more in the burst. */
const FIRST_OPERATIONS = 60;
/** A refill waits 100 ms and more after a failure. */
const AGREE = { timeout: patiently(20_000) };

const deaths = new Deaths();
afterEach(() => deaths.none());

async function openMortal(poolSize: number): Promise<Network> {
  const before = readEverything();
  const options = testOptions({ subnet: "10.100.0.0/22", pool: { size: poolSize } });
  const network = await openWith(options, deaths.internals);
  onTestFinished(async () => {
    deaths.none();
    await destroyNetwork(network, options);
    expect(compareKernelStates(before, readEverything())).toEqual([]);
  });
  return network;
}

function fork(network: Network, i: number, more: object = {}) {
  const limits = { download: "50mbit", upload: "5mbit" };
  return network.createAllocation({
    instanceId: `vm-${i}`,
    instanceName: `n-${i}`,
    ...limits,
    ...more,
  });
}

/** Nobody calls reconcile before this: what a death left has gone by itself. */
async function expectAgreement(network: Network, poolSize: number): Promise<void> {
  const active = network.listAllocations().filter(({ state }) => state === "active");
  await Promise.allSettled(active.map(({ shaped }) => shaped));
  await expect.poll(() => brokenInvariants(network, new Map(), poolSize), AGREE).toEqual([]);
  await expect
    .poll(async () => (await network.reconcile({ dryRun: true })).actions, AGREE)
    .toEqual([]);
  expect((await network.verify()).differences).toEqual([]);
  expect(network.listAllocations().filter(({ shaping }) => shaping === "failed")).toEqual([]);
}

/** Every later call works, on every worker. */
async function expectService(network: Network): Promise<void> {
  const guests = await Promise.all(Array.from({ length: 10 }, (_, i) => fork(network, 1000 + i)));
  await Promise.all(guests.map(({ shaped }) => shaped));
  await network.updateLimits("vm-1000", { download: "7mbit" });
  await network.standbyAllocation("vm-1001");
  await network.recreateAllocation("vm-1001");
  await Promise.all(guests.map(({ instanceId }) => network.releaseAllocation(instanceId)));
}

function codesOf(outcomes: readonly PromiseSettledResult<unknown>[]): Set<string> {
  const rejected = outcomes.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
  return new Set(rejected.map((reason) => (reason as ForknetError).code ?? String(reason)));
}

describe.each(CASES)("the %s worker dies by %s", (worker, death) => {
  test("idle", async () => {
    const network = await openMortal(2);
    const lost = published("forknet:worker-lost");
    const outside = published("forknet:changed-outside");
    await (await fork(network, 1)).shaped;
    await deaths.idle(worker, death);
    await expect.poll(() => lost.length, AGREE).toBe(1);
    expect(lost[0]).toMatchObject({ worker, error: { code: "ERR_FORKNET_WORKER" } });
    // What the new thread's socket causes is known for our own.
    await network.updateLimits("vm-1", { download: "7mbit" });
    await Promise.all([2, 3, 4, 5].map((i) => fork(network, i)));
    await Promise.all([2, 3].map((i) => network.releaseAllocation(`vm-${i}`)));
    const { ifindex } = network.getAllocation("vm-1") as Allocation;
    tellKernel({ op: "link.set", ifindex, alias: "somebody else's" });
    await expect.poll(() => outside.length, AGREE).toBeGreaterThan(0);
    expect(new Set(outside.map(({ subject }) => subject))).toEqual(new Set(["vm-1"]));
    await network.reconcile();
    await expectService(network);
    await expectAgreement(network, 2);
  });

  test(`in a burst of ${BURST} forks, limits, standbys and releases`, async () => {
    const network = await openMortal(POOL);
    await expectAgreement(network, POOL);
    const lost = published("forknet:worker-lost");
    deaths.before(worker, death, 1 + Math.floor(Math.random() * FIRST_OPERATIONS));
    const outcomes = await Promise.allSettled(
      Array.from({ length: BURST }, async (_, i) => {
        const guest = await fork(network, i);
        if (i % 4 === 0) await guest.shaped;
        if (i % 4 === 1) await network.updateLimits(guest.instanceId, { upload: "9mbit" });
        if (i % 4 === 2) await network.standbyAllocation(guest.instanceId);
        if (i % 4 === 3) await network.releaseAllocation(guest.instanceId);
      }),
    );
    expect(deaths.count).toBe(1);
    expect([[], ["ERR_FORKNET_WORKER"]]).toContainEqual([...codesOf(outcomes)]);
    await expect.poll(() => lost.map((one) => one.worker), AGREE).toEqual([worker]);
    await expectAgreement(network, POOL);
    await expectService(network);
    await expectAgreement(network, POOL);
  });
});
