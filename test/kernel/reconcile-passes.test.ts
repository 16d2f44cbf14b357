// How passes run: bounded, beside forks, at open, and after bridge or shaper were deleted.

import { describe, expect, it } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import { Agent } from "../support/agent.js";
import { ERRNO, openWithFaults } from "../support/faults.js";
import {
  classNamed,
  deleteLink,
  filterNames,
  indexOf,
  linkNamed,
  makeTap,
  neighborsOf,
  readLeases,
  tellKernel,
  warmSlots,
} from "../support/kernel-view.js";
import { BRIDGE, openForTest, poolFilled, SHAPER, testOptions } from "../support/network.js";

const INGRESS = 0xfffffff2;
const PASS = 100;
const SURPLUS = 7;
/** One less than what a lane gives up at: 62 ms in all. */
const REFUSALS = 5;

function request(i: number) {
  return { instanceId: `vm-${i}`, instanceName: `name-${i}`, upload: "1mbit" };
}

function fork(network: Network, count: number): Promise<Allocation[]> {
  const forks = Array.from({ length: count }, (_, i) => network.createAllocation(request(i)));
  return Promise.all(forks);
}

async function expectInOrder(network: Network): Promise<void> {
  expect(await network.verify()).toMatchObject({ differences: [] });
  expect(await network.reconcile()).toMatchObject({ actions: [], remaining: 0 });
}

describe("a pass", () => {
  it("repairs a bounded number of guests, and says how many repairs are left", async () => {
    const network = await openForTest();
    const guests = await fork(network, PASS + SURPLUS);
    for (const { ifindex } of guests)
      tellKernel(
        { op: "port.set", ifindex, isolated: false },
        { op: "link.set", ifindex, alias: "x" },
      );
    const first = await network.reconcile();
    expect(first.actions).toHaveLength(2 * PASS);
    expect(first.remaining).toBe(2 * SURPLUS);
    const second = await network.reconcile();
    expect(second.actions).toHaveLength(2 * SURPLUS);
    expect(second.remaining).toBe(0);
    await expectInOrder(network);
  });

  it("deletes a bounded number of leftovers", async () => {
    const network = await openForTest();
    for (let i = 0; i < PASS + SURPLUS; i++)
      makeTap(`stray${i}`, {
        alias: `forknet1 /slot 10.100.9.${i} 02:00:0a:64:09:${(i + 16).toString(16)} 1:99`,
        master: BRIDGE,
      });
    const plan = await network.reconcile({ dryRun: true });
    expect(plan).toMatchObject({ remaining: 0 });
    expect(plan.actions).toHaveLength(PASS + SURPLUS);
    expect(await network.reconcile()).toMatchObject({ remaining: SURPLUS });
    expect(await network.reconcile()).toMatchObject({ remaining: 0 });
    await expectInOrder(network);
  });

  it("leaves alone what is under way: forks, restores, changes and releases beside it", async () => {
    const network = await openForTest(testOptions({ pool: { size: 8 } }));
    await poolFilled(network, 8);
    const rounds = Array.from({ length: 12 }, async (_, i) => {
      for (let round = 0; round < 4; round++) {
        await network.createAllocation(request(i));
        await network.updateLimits(`vm-${i}`, { upload: "3mbit", download: "9mbit" });
        await network.standbyAllocation(`vm-${i}`);
        await network.recreateAllocation(`vm-${i}`, round % 2 ? { tapName: `tap-${i}` } : {});
        await network.releaseAllocation(`vm-${i}`);
      }
    });
    const all = Promise.all(rounds);
    let isDone = false;
    const found: unknown[] = [];
    const looking = (async () => {
      while (!isDone) {
        found.push(...(await network.verify()).differences);
        found.push(...(await network.reconcile()).actions);
      }
    })();
    await all;
    isDone = true;
    await looking;
    expect(found).toEqual([]);
    await expectInOrder(network);
  });

  it("whose look is refused looks anew: what was a warm slot is a guest's TAP by then", async () => {
    const { network, faults } = await openWithFaults(testOptions({ pool: { size: 1 } }));
    await poolFilled(network, 1);
    const slot = indexOf(warmSlots(BRIDGE)[0] as string);
    faults.refuse({ errno: ERRNO.EBUSY, at: 1, times: REFUSALS, match: "dump links" });
    const pass = network.reconcile();
    await expect.poll(() => faults.failed, { interval: 0 }).toBe(1);
    const { ifindex, tap } = await network.createAllocation({ ...request(0), tapName: "restored" });
    expect(ifindex).toBe(slot);
    expect(faults.failed).toBeLessThan(REFUSALS);
    expect(await pass).toMatchObject({ actions: [] });
    expect(faults.failed).toBe(REFUSALS);
    expect(linkNamed(tap)).toMatchObject({ ifindex });
    await expectInOrder(network);
  });
});

describe("when somebody deleted", () => {
  it.each([
    ["the shaper", [SHAPER]],
    ["the bridge", [BRIDGE]],
    ["both", [SHAPER, BRIDGE]],
  ])("%s, a pass makes it anew with all its guests", async (_, names) => {
    const network = await openForTest(testOptions({ pool: { size: 2 } }));
    await poolFilled(network, 2);
    const guests = await fork(network, 3);
    await Promise.all(guests.map(({ shaped }) => shaped));
    await network.releaseAllocation("vm-2");
    for (const name of names) deleteLink(name);
    const { differences } = await network.verify();
    expect(differences.map(({ subject, found }) => `${subject} ${found}`).sort()).toEqual(
      names.map((name) => `${name} nothing`).sort(),
    );
    await network.reconcile();
    for (const { tap, classId, ifindex, instanceId } of guests.slice(0, 2)) {
      expect(linkNamed(tap)).toMatchObject({ ifindex, master: indexOf(BRIDGE), up: true });
      expect(classNamed(SHAPER, classId)).toMatchObject({ rate: 125_000 });
      expect(readLeases(SHAPER).get(ifindex)).toMatchObject({ instanceId });
    }
    await poolFilled(network, 2);
    await expectInOrder(network);
    await network.createAllocation(request(9));
    await network.createAllocation({ ...request(8), tapName: "cold" });
    await network.getAllocation("vm-9")?.shaped;
    await expectInOrder(network);
  });

  it("the shaper and somebody else has taken its name, that stays and the pass says so", async () => {
    const network = await openForTest();
    await fork(network, 1);
    deleteLink(SHAPER);
    tellKernel({ op: "link.create", name: SHAPER, kind: "bridge" });
    const report = await network.reconcile();
    expect(report.actions).toMatchObject([
      { subject: SHAPER, error: { code: "ERR_FORKNET_CONFLICT" } },
    ]);
    expect(report.remaining).toBe(1);
    expect(linkNamed(SHAPER)).toMatchObject({ kind: "bridge" });
    deleteLink(SHAPER);
    await network.reconcile();
    await expectInOrder(network);
  });
});

describe("at open", () => {
  it("guests are served first and put in order after", async () => {
    const options = testOptions();
    const agent = new Agent();
    await agent.open(options);
    const [first, second] = [await agent.fork(request(1)), await agent.fork(request(2))];
    await agent.kill();
    tellKernel(
      { op: "neighbor.delete", ifindex: indexOf(BRIDGE), ip: 0x0a640000 + hostPart(first.ip) },
      { op: "neighbor.set", ifindex: indexOf(BRIDGE), ip: 0x0a64ff09, mac: 0x02000a64ff09 },
      { op: "filter.delete", ifindex: second.ifindex, parent: INGRESS, priority: 1 },
    );
    const network = await openForTest(options);
    expect(network.listAllocations().map(({ state }) => state)).toEqual(["active", "active"]);
    // The guard is not left for later: without it a guest passes what it likes.
    expect(filterNames(second.tap).ingress).toEqual(["forknet-guard"]);
    await expect
      .poll(() =>
        neighborsOf(BRIDGE)
          .map(({ ip }) => ip)
          .sort(ascending),
      )
      .toEqual([first, second].map(({ ip }) => 0x0a640000 + hostPart(ip)).sort(ascending));
    await expectInOrder(network);
  });

  it("closing does not wait for more than the pass that runs", async () => {
    const options = testOptions();
    const agent = new Agent();
    await agent.open(options);
    await agent.fork(request(1));
    await agent.kill();
    const network = await openForTest(options);
    await network.close();
  });
});

/** Of an address in 10.100.0.0/16. */
function hostPart(ip: string): number {
  const [, , third, fourth] = ip.split(".").map(Number) as [number, number, number, number];
  return third * 256 + fourth;
}

function ascending(a: number, b: number): number {
  return a - b;
}
