// Worker threads die while a network opens, closes or is destroyed, once or for ever: the call ends, the
// agent lives, and whoever opens next finds everything and leaves nothing.

import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { type Network, type NetworkOptions, openNetwork } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { Deaths } from "../support/deaths.js";
import { brokenInvariants } from "../support/invariants.js";
import { compareKernelStates, readOpenFiles } from "../support/kernel-state.js";
import { linkNamed } from "../support/kernel-view.js";
import { BRIDGE, poolFilled, testOptions } from "../support/network.js";
import { readEverything } from "../support/network-state.js";

const WORKERS = ["create", "shape", "reap"] as const;
const DEATHS = ["throw", "exit", "memory"] as const;
const CASES = WORKERS.flatMap((worker) => DEATHS.map((death) => [worker, death] as const));
const FOR_EVER = 1_000_000;
/** Of each call one operation in so many is tried, from a random one on. */
const STEP = process.env.FORKNET_ALL_FAULTS === "1" ? 1 : 25;
const GUESTS = 6;
const WORKER_LOST = { code: "ERR_FORKNET_WORKER" };

const deaths = new Deaths();
afterEach(() => deaths.none());

/** When the test has finished, nothing may be there that was not before. */
function optionsForTest(poolSize = 0): NetworkOptions {
  const options = testOptions({ subnet: "10.100.0.0/24", pool: { size: poolSize } });
  const [kernel, files] = [readEverything(), readOpenFiles()];
  onTestFinished(async () => {
    deaths.none();
    if (linkNamed(BRIDGE)) await (await openNetwork(options)).destroy();
    expect(compareKernelStates(kernel, readEverything())).toEqual([]);
    await expect.poll(() => compareKernelStates(files, readOpenFiles())).toEqual([]);
  });
  return options;
}

const openMortal = (options: NetworkOptions) => openWith(options, deaths.internals);

async function fork(network: Network, count: number): Promise<void> {
  const guests = await Promise.all(
    Array.from({ length: count }, (_, i) =>
      network.createAllocation({ instanceId: `vm-${i}`, instanceName: `n-${i}`, upload: "5mbit" }),
    ),
  );
  await Promise.all(guests.map(({ shaped }) => shaped));
}

async function expectWhole(network: Network, guests: number, spare = 0): Promise<void> {
  expect(network.listAllocations()).toHaveLength(guests);
  await expect.poll(() => brokenInvariants(network, new Map(), spare)).toEqual([]);
  await expect.poll(async () => (await network.reconcile({ dryRun: true })).actions).toEqual([]);
  expect((await network.verify()).differences).toEqual([]);
}

describe("opening", () => {
  test.each(CASES)("the %s worker dies by %s while it starts", async (worker, death) => {
    const options = optionsForTest();
    deaths.starting(worker, death, 2);
    const network = await openMortal(options);
    expect(deaths.count).toBe(2);
    await fork(network, 2);
    await expectWhole(network, 2);
    await network.destroy();
  });

  test.each(DEATHS)("the create worker dies by %s in the middle of it", async (death) => {
    const options = optionsForTest();
    for (let at = 1 + Math.floor(Math.random() * STEP); ; at += STEP) {
      deaths.before("create", death, at);
      const network = await openMortal(options);
      const died = deaths.count > 0;
      deaths.none();
      await fork(network, 2);
      await expectWhole(network, 2);
      await network.destroy();
      if (!died) break;
    }
  });

  test("with guests: they are adopted all the same", async () => {
    const options = optionsForTest(2);
    let network = await openMortal(options);
    await fork(network, GUESTS);
    const known = network.listAllocations().map((one) => JSON.stringify(one));
    for (let at = 1 + Math.floor(Math.random() * STEP); ; at += STEP) {
      await network.close();
      deaths.before("create", "exit", at);
      network = await openMortal(options);
      const died = deaths.count > 0;
      deaths.none();
      expect(network.listAllocations().map((one) => JSON.stringify(one))).toEqual(known);
      await poolFilled(network, 2);
      await expectWhole(network, GUESTS, 2);
      if (!died) break;
    }
    await network.destroy();
  });

  test.each(WORKERS)("is refused where every %s worker dies at its start", async (worker) => {
    const options = optionsForTest();
    const before = readEverything();
    deaths.starting(worker, "exit", FOR_EVER);
    await expect(openMortal(options)).rejects.toMatchObject(WORKER_LOST);
    expect(compareKernelStates(before, readEverything())).toEqual([]);
  });

  test("is refused where every create worker dies in it; the next one takes over what it left", async () => {
    const options = optionsForTest();
    deaths.before("create", "exit", 30, FOR_EVER);
    await expect(openMortal(options)).rejects.toMatchObject(WORKER_LOST);
    deaths.none();
    const network = await openMortal(options);
    await fork(network, 2);
    await expectWhole(network, 2);
    await network.destroy();
  });
});

describe("ending", () => {
  test.each(CASES)("close: the %s worker dies by %s", async (worker, death) => {
    const options = optionsForTest(4);
    const network = await openMortal(options);
    await fork(network, GUESTS);
    await poolFilled(network, 4);
    const late = network.createAllocation({
      instanceId: "late",
      instanceName: "l",
      upload: "5mbit",
    });
    deaths.before(worker, death, 1 + Math.floor(Math.random() * 3));
    await Promise.all([network.close(), late]);
    deaths.none();
    const next = await openMortal({ ...options, pool: { size: 0 } });
    await expectWhole(next, GUESTS + 1);
    await next.destroy();
  });

  test.each(CASES)("destroy: the %s worker dies by %s", async (worker, death) => {
    const options = optionsForTest(2);
    const before = readEverything();
    const network = await openMortal(options);
    await fork(network, GUESTS);
    deaths.before(worker, death, 1 + Math.floor(Math.random() * 5));
    await network.destroy();
    expect(compareKernelStates(before, readEverything())).toEqual([]);
  });

  test.each(WORKERS)("close ends where every %s worker dies from now on", async (worker) => {
    const options = optionsForTest(4);
    const network = await openMortal(options);
    await fork(network, GUESTS);
    await poolFilled(network, 4);
    deaths.before(worker, "exit", 1, FOR_EVER);
    await network.close();
    deaths.none();
    const next = await openMortal({ ...options, pool: { size: 0 } });
    await expectWhole(next, GUESTS);
    await next.destroy();
  });

  test.each(["create", "reap"] as const)(
    "destroy ends where every %s worker dies from now on, and can be done again",
    async (worker) => {
      const options = optionsForTest(2);
      const network = await openMortal(options);
      await fork(network, GUESTS);
      deaths.before(worker, "exit", 1, FOR_EVER);
      await expect(network.destroy()).rejects.toMatchObject(WORKER_LOST);
      deaths.none();
      await (await openMortal(options)).destroy();
    },
  );
});
