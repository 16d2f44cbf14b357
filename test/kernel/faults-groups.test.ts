// Every kernel operation of what groups do is made to fail once: nothing is left of a failed call,
// the former limits hold, and no guest ends outside its group's total.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { ERRNO, Faults } from "../support/faults.js";
import { brokenInvariants } from "../support/invariants.js";
import { compareKernelStates } from "../support/kernel-state.js";
import { classNamed } from "../support/kernel-view.js";
import { poolFilled, SHAPER } from "../support/network.js";
import { readEverything } from "../support/network-state.js";
import { forkWarm } from "../support/traffic-network.js";

const faults = new Faults();
const stateDir = mkdtempSync(join(tmpdir(), "forknet-faults-"));
const REQUEST = { instanceId: "a", instanceName: "alpha", upload: "5mbit", group: "team-a" };
const OTHER = { ...REQUEST, instanceId: "b", instanceName: "beta" };
const MOST_OPERATIONS = 60;
const BASE_LIMIT = 10e6 / 8;

let network: Network;

async function open(size: number): Promise<void> {
  network = await openWith(
    { bridge: "vmbr0", subnet: "10.100.0.0/20", stateDir, pool: { size } },
    { kernelModule: faults.module },
  );
}

async function releaseAll(): Promise<void> {
  faults.none();
  const ids = network.listAllocations().map(({ instanceId }) => instanceId);
  await Promise.all(ids.map((id) => network.releaseAllocation(id)));
  await network.setGroupLimits("team-a", null);
}

async function differences(): Promise<unknown[]> {
  return (await network.verify()).differences;
}

const INJECTIONS = [
  ["refused", (at: number) => faults.refuse({ errno: ERRNO.EPERM, at })],
  ["answered too late", (at: number) => faults.loseAnswer(at)],
] as const;

afterAll(() => rmSync(stateDir, { recursive: true }));

describe("without warm slots", () => {
  beforeAll(() => open(0));
  afterEach(releaseAll);
  afterAll(() => network.destroy());

  const create = () => network.createAllocation(REQUEST);
  const release = () => network.releaseAllocation("a");
  const limit = (upload: string) => network.setGroupLimits("team-a", { upload });

  const SCENARIOS = [
    { name: "the first guest of a group", prepare: async () => {}, run: create, clean: release },
    {
      name: "another guest of a group",
      prepare: () => network.createAllocation(OTHER),
      run: create,
      clean: releaseAll,
    },
    {
      name: "the last guest's release",
      prepare: create,
      run: release,
      // Classes that were not deleted go with those of the next group that ends.
      clean: async () => {
        await release();
        await create();
        await release();
      },
    },
    {
      name: "a change of limits",
      prepare: async () => {
        await limit("50mbit");
        await create();
      },
      run: () => limit("20mbit"),
      clean: releaseAll,
    },
    {
      name: "a restore",
      prepare: async () => {
        await create();
        await network.standbyAllocation("a");
      },
      run: () => network.recreateAllocation("a"),
      clean: release,
    },
  ];

  describe.each(SCENARIOS)("$name", ({ name, prepare, run, clean }) => {
    test.each(INJECTIONS)("each operation %s", async (_, inject) => {
      for (let at = 1; at <= MOST_OPERATIONS; at++) {
        await prepare();
        const before = readEverything(network);
        const groups = network.listGroups();
        inject(at);
        const isDone = await run().then(
          () => true,
          () => false,
        );
        const { failed, journal } = faults;
        faults.none();
        const operation = `operation ${at} (${journal[at - 1]})`;
        if (!isDone && name !== "the last guest's release") {
          expect(compareKernelStates(before, readEverything(network)), operation).toEqual([]);
          expect(network.listGroups(), operation).toEqual(groups);
        }
        expect(await differences(), operation).toEqual([]);
        if (!isDone) await run();
        expect(await differences(), operation).toEqual([]);
        expect(brokenInvariants(network), operation).toEqual([]);
        await clean();
        if (failed === 0) {
          expect(at).toBeGreaterThan(1);
          return;
        }
      }
      throw new Error("no end");
    });
  });

  test("what a refused deletion left goes with the next group", async () => {
    await create();
    const { classId } = network.listGroups()[0] as { classId: string };
    faults.refuse({ errno: ERRNO.EPERM, at: 1, match: "RTM_DELTCLASS" });
    await release();
    expect(faults.failed).toBe(1);
    faults.none();
    expect(network.listGroups()).toEqual([]);
    const next = await network.createAllocation({ ...OTHER, group: "team-b" });
    expect(network.listGroups()).not.toMatchObject([{ classId }]);
    await network.releaseAllocation(next.instanceId);
    expect(classNamed(SHAPER, classId)).toBeUndefined();
  });
});

describe("a guest out of the pool", () => {
  beforeAll(() => open(2));
  afterEach(releaseAll);
  afterAll(() => network.destroy());

  test.each(INJECTIONS)("each operation of its move %s", async (_, inject) => {
    let refused = 0;
    for (let at = 1; at <= MOST_OPERATIONS; at++) {
      await network.setGroupLimits("team-a", { upload: "50mbit" });
      await poolFilled(network, 2);
      inject(at);
      const guest: Allocation = await forkWarm(network, REQUEST);
      const isShaped = await guest.shaped.then(
        () => true,
        () => false,
      );
      const { failed } = faults;
      faults.none();
      if (!isShaped) {
        refused++;
        // Still held to the base limits, and in none but its first class.
        expect(guest).toMatchObject({ state: "active", shaping: "failed" });
        expect(classNamed(SHAPER, guest.classId)).toMatchObject({
          rate: BASE_LIMIT,
          ceil: BASE_LIMIT,
        });
        await network.reconcile();
      }
      expect(guest.shaping).toBe("shaped");
      const { classId } = network.listGroups()[0] as { classId: string };
      expect(classNamed(SHAPER, guest.classId)).toMatchObject({
        parent: classNamed(SHAPER, classId)?.handle,
        rate: 5e6 / 8,
      });
      await poolFilled(network, 2);
      expect(await differences()).toEqual([]);
      await releaseAll();
      if (failed === 0) break;
    }
    expect(refused).toBeGreaterThanOrEqual(5);
  });
});
