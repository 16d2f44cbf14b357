// A worker's thread dies before an operation of a call, whichever it is. A call that may not be repeated
// rejects and the kernel is as it was, at once and without anybody's help; every other one is done all
// the same. Nothing the dead thread had open stays open.

import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import type { ForknetError, Network } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { Deaths, type Worker } from "../support/deaths.js";
import { brokenInvariants } from "../support/invariants.js";
import { compareKernelStates, readOpenFiles } from "../support/kernel-state.js";
import { deleteLink, makeForeignLink } from "../support/kernel-view.js";
import { destroyNetwork, poolFilled, testOptions } from "../support/network.js";
import { readEverything } from "../support/network-state.js";

const REQUEST = { instanceId: "a", instanceName: "alpha", download: "20mbit", upload: "5mbit" };
/** More than any call has: an endless loop here is a test that never reaches its end. */
const MOST_OPERATIONS = 80;
/** Every operation takes two minutes; otherwise one in three. */
const isExhaustive = process.env.FORKNET_ALL_FAULTS === "1";
const LONGEST_STEP = 5;

const deaths = new Deaths();

/** Ends the network that is open. */
let close = async () => {};
afterEach(async () => {
  deaths.none();
  await close();
});

/** One at a time. */
async function openMortal(poolSize = 0): Promise<Network> {
  const options = testOptions({
    subnet: "10.100.0.0/24",
    pool: { size: poolSize },
    translate: true,
  });
  const network = await openWith(options, deaths.internals);
  close = async () => {
    close = async () => {};
    await destroyNetwork(network, options);
  };
  return network;
}

interface Scenario {
  name: string;
  worker: Worker;
  pool?: number;
  prepare: (network: Network) => Promise<unknown>;
  call: (network: Network) => Promise<unknown>;
  clean: (network: Network) => Promise<unknown>;
}

const create = (network: Network, more: object = {}) =>
  network.createAllocation({ ...REQUEST, ip: "10.100.0.77", ...more });
const shaped = async (network: Network, more: object = {}) => (await create(network, more)).shaped;
const release = (network: Network) => network.releaseAllocation("a");
const standby = (network: Network) => network.standbyAllocation("a");
const toStandby = async (network: Network) => {
  await shaped(network);
  await standby(network);
};
const nothing = async () => {};

const SCENARIOS: Scenario[] = [
  { name: "create", worker: "create", prepare: nothing, call: create, clean: release },
  {
    name: "create with a class of the free list",
    worker: "create",
    prepare: async (network) => {
      await create(network);
      await release(network);
    },
    call: create,
    clean: release,
  },
  {
    name: "create of a group",
    worker: "create",
    prepare: nothing,
    call: (network) => create(network, { group: "tenant" }),
    clean: release,
  },
  {
    name: "create out of a warm slot",
    worker: "create",
    pool: 1,
    prepare: (network) => poolFilled(network, 1),
    call: (network) => create(network, { tapName: "exact0", mac: "02:00:00:00:00:77" }),
    clean: release,
  },
  {
    name: "recreate",
    worker: "create",
    prepare: toStandby,
    call: (network) => network.recreateAllocation("a"),
    clean: release,
  },
  { name: "release", worker: "reap", prepare: shaped, call: release, clean: release },
  {
    name: "standby",
    worker: "reap",
    // Once before, so that the store's file is open.
    prepare: async (network) => {
      await toStandby(network);
      await network.recreateAllocation("a");
    },
    call: standby,
    clean: release,
  },
  {
    name: "change limits",
    worker: "shape",
    prepare: shaped,
    call: (network) => network.updateLimits("a", { download: "3mbit", upload: "2mbit" }),
    clean: release,
  },
  {
    name: "shape a warm slot",
    worker: "shape",
    pool: 1,
    prepare: (network) => poolFilled(network, 1),
    call: async (network) => (await network.createAllocation(REQUEST)).shaped,
    clean: release,
  },
  {
    name: "move a warm slot's guest under its group",
    worker: "shape",
    pool: 1,
    prepare: (network) => poolFilled(network, 1),
    call: async (network) =>
      (await network.createAllocation({ ...REQUEST, group: "tenant" })).shaped,
    clean: release,
  },
  {
    name: "another identity inside",
    worker: "shape",
    prepare: shaped,
    call: (network) =>
      network.updateGuest("a", {
        ip: "169.254.7.2",
        mac: "06:00:00:00:00:07",
        gateway: "169.254.7.1",
      }),
    clean: release,
  },
  {
    name: "limits of a group",
    worker: "shape",
    // The file of the limits stays open from the first write on, so there is one before.
    prepare: async (network) => {
      await network.setGroupLimits("another", { upload: "20mbit" });
      await create(network, { group: "tenant" });
    },
    call: (network) => network.setGroupLimits("tenant", { upload: "40mbit" }),
    clean: async (network) => {
      await network.setGroupLimits("tenant", null);
      await network.setGroupLimits("another", null);
      await release(network);
    },
  },
  {
    name: "verify",
    worker: "any",
    prepare: shaped,
    call: async (network) => expect((await network.verify()).differences).toEqual([]),
    clean: release,
  },
  {
    name: "statistics",
    worker: "reap",
    prepare: shaped,
    call: async (network) => expect((await network.statistics()).guests).toHaveLength(1),
    clean: release,
  },
];

/** Whether the worker died; throws what is not as it should be. */
async function dieBefore(
  at: number,
  { worker, pool = 0, ...scenario }: Scenario,
): Promise<boolean> {
  const where = `before operation ${at}`;
  const fresh = await openMortal(pool);
  await scenario.prepare(fresh);
  const files = readOpenFiles();
  const before = readEverything(fresh);
  deaths.before(worker, "exit", at);
  const refusal = await scenario.call(fresh).then(
    () => undefined,
    (error: ForknetError) => error,
  );
  const died = deaths.count > 0;
  deaths.none();
  if (refusal) {
    expect(refusal, where).toMatchObject({ code: "ERR_FORKNET_WORKER" });
    expect(scenario.name, where).toMatch(/create/);
    // With a pool the next slot is being made.
    if (pool === 0) expect(compareKernelStates(before, readEverything(fresh)), where).toEqual([]);
  }
  const poll = (read: () => unknown) => expect.poll(read, { message: where });
  await poll(() => brokenInvariants(fresh, new Map(), pool)).toEqual([]);
  await poll(async () => (await fresh.reconcile({ dryRun: true })).actions).toEqual([]);
  await poll(() => compareKernelStates(files, readOpenFiles())).toEqual([]);
  await scenario.clean(fresh);
  await close();
  return died;
}

describe.each(SCENARIOS)("$name, the $worker worker", (scenario) => {
  test("dies before an operation", async () => {
    let at = 1;
    while (await dieBefore(at, scenario)) {
      at += isExhaustive ? 1 : 1 + Math.floor(Math.random() * LONGEST_STEP);
      expect(at).toBeLessThan(MOST_OPERATIONS);
    }
    expect(at).toBeGreaterThan(1);
  });
});

test("a link of somebody else with the lost slot's name is not touched", async () => {
  const network = await openMortal();
  makeForeignLink("exact0");
  onTestFinished(() => deleteLink("exact0"));
  const before = readEverything(network);
  deaths.before("create", "exit", 2);
  await expect(create(network, { tapName: "exact0" })).rejects.toMatchObject({
    code: "ERR_FORKNET_WORKER",
  });
  deaths.none();
  expect(compareKernelStates(before, readEverything(network))).toEqual([]);
});
