// Forks that are not wanted any more: aborted by the caller's signal, or overtaken by a release.

import { describe, expect, it } from "vitest";
import { compareKernelStates, type KernelState } from "../support/kernel-state.js";
import {
  classNamed,
  htbClasses,
  neighborsOf,
  readLeases,
  readNetworkLines,
  tbfOf,
} from "../support/kernel-view.js";
import {
  BRIDGE,
  expectRefused,
  openForTest,
  poolFilled,
  SHAPER,
  testOptions,
} from "../support/network.js";
import { REQUEST } from "../support/requests.js";

const EXACT = { ...REQUEST, ip: "10.100.7.9", mac: "02:aa:bb:cc:dd:ee", tapName: "tap-nine" };
/** The capacity and the default class. */
const NETWORK_CLASSES = 2;
const ABORTED = { code: "ERR_FORKNET_ABORTED" };

/**
 * Long enough for a job to reach its worker, and too short for any answer: no message is read
 * between microtasks.
 */
async function letTheWorkerHaveIt(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

/** A class that was made stays for the next guest. */
function withoutFreeClasses(state: KernelState): KernelState {
  return state.filter(
    (line) =>
      !line.startsWith("class htb") && !(line.startsWith("qdisc tbf") && line.endsWith(SHAPER)),
  );
}

describe("an aborted fork", () => {
  it("does nothing when the signal had fired before", async () => {
    const network = await openForTest();
    const reason = new Error("not needed");
    const options = { signal: AbortSignal.abort(reason) };
    await expectRefused(() => network.createAllocation(REQUEST, options), "ABORTED", {
      cause: reason,
    });
    expect(network.listAllocations()).toEqual([]);
    // A bad request is a bad request first.
    await expectRefused(
      () => network.createAllocation({ ...REQUEST, download: 0 }, options),
      "CONFIG",
    );
  });

  it("is taken out of the queue, and gives its identity back", async () => {
    const network = await openForTest();
    const before = readNetworkLines();
    const controller = new AbortController();
    const fork = network.createAllocation(EXACT, { signal: controller.signal });
    expect(network.getAllocation("vm-1")?.state).toBe("pending");
    controller.abort();
    await expect(fork).rejects.toMatchObject({ ...ABORTED, cause: { name: "AbortError" } });
    expect(network.getAllocation("vm-1")).toBeUndefined();
    expect(network.nameExists("alpha")).toBe(false);
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
    expect((await network.createAllocation(EXACT)).tap).toBe("tap-nine");
  });

  it("is undone when the worker had begun, and gives its identity back", async () => {
    const network = await openForTest();
    const before = readNetworkLines();
    const controller = new AbortController();
    const fork = network.createAllocation(EXACT, { signal: controller.signal });
    await letTheWorkerHaveIt();
    controller.abort();
    await expect(fork).rejects.toMatchObject(ABORTED);
    // The worker had begun: its class is there, for the next guest.
    expect(htbClasses(SHAPER)).toHaveLength(NETWORK_CLASSES + 1);
    expect(network.listAllocations()).toEqual([]);
    expect(
      compareKernelStates(withoutFreeClasses(before), withoutFreeClasses(readNetworkLines())),
    ).toEqual([]);
    expect(readLeases(SHAPER)).toEqual(new Map());
    expect(await network.createAllocation(EXACT)).toMatchObject({
      ip: EXACT.ip,
      mac: EXACT.mac,
      tap: EXACT.tapName,
    });
  });

  it("rejects its `shaped`, and nobody has to watch that", async () => {
    const network = await openForTest();
    const controller = new AbortController();
    const fork = network.createAllocation(REQUEST, { signal: controller.signal });
    const shaped = network.getAllocation("vm-1")?.shaped;
    controller.abort();
    await expect(fork).rejects.toMatchObject(ABORTED);
    await expect(shaped).rejects.toMatchObject(ABORTED);
  });

  it("does not disturb its neighbours in the same call of the worker", async () => {
    const network = await openForTest();
    const controllers = Array.from({ length: 24 }, () => new AbortController());
    const forks = controllers.map(({ signal }, i) =>
      network.createAllocation(
        { ...REQUEST, instanceId: `vm-${i}`, instanceName: `name-${i}` },
        { signal },
      ),
    );
    const outcomes = Promise.allSettled(forks);
    await letTheWorkerHaveIt();
    for (const [i, controller] of controllers.entries()) if (i % 3 === 0) controller.abort();
    const statuses = (await outcomes).map(({ status }) => status);
    expect(statuses).toEqual(controllers.map((_, i) => (i % 3 === 0 ? "rejected" : "fulfilled")));
    const kept = network.listAllocations();
    expect(kept).toHaveLength(16);
    expect(readLeases(SHAPER).size).toBe(16);
    expect(neighborsOf(BRIDGE)).toHaveLength(16);
    for (const { tap, classId } of kept) {
      expect(tbfOf(tap)?.rate).toBe(12_500_000);
      expect(classNamed(SHAPER, classId)?.rate).toBe(2_500_000);
    }
  });

  it("is a fork that stays, when the signal fires later", async () => {
    const network = await openForTest();
    const controller = new AbortController();
    const allocation = await network.createAllocation(REQUEST, { signal: controller.signal });
    controller.abort();
    await network.updateLimits("vm-1", { download: "5mbit" });
    expect(allocation.state).toBe("active");
  });
});

describe("an aborted restore", () => {
  it("leaves the guest in standby", async () => {
    const network = await openForTest();
    const { ip } = await network.createAllocation(REQUEST);
    await network.standbyAllocation("vm-1");
    const before = readNetworkLines();
    await expectRefused(
      () => network.recreateAllocation("vm-1", { signal: AbortSignal.abort() }),
      "ABORTED",
    );
    const controller = new AbortController();
    const restore = network.recreateAllocation("vm-1", {
      signal: controller.signal,
      download: "1mbit",
    });
    await letTheWorkerHaveIt();
    controller.abort();
    await expect(restore).rejects.toMatchObject(ABORTED);
    expect(network.getAllocation("vm-1")).toMatchObject({
      ip,
      state: "standby",
      tap: "",
      classId: "",
    });
    expect(
      compareKernelStates(withoutFreeClasses(before), withoutFreeClasses(readNetworkLines())),
    ).toEqual([]);
    const restored = await network.recreateAllocation("vm-1");
    expect(tbfOf(restored.tap)?.rate).toBe(12_500_000);
  });
});

describe("a release", () => {
  it.each([
    ["in the tick of the fork", async () => {}],
    ["while the worker makes the TAP", letTheWorkerHaveIt],
  ])("overtakes a fork %s", async (_, wait) => {
    const network = await openForTest();
    const before = readNetworkLines();
    const fork = network.createAllocation(EXACT);
    const rejected = expect(fork).rejects.toMatchObject(ABORTED);
    await wait();
    const release = network.releaseAllocation("vm-1");
    expect(network.getAllocation("vm-1")?.state).toBe("releasing");
    await rejected;
    await release;
    expect(network.listAllocations()).toEqual([]);
    expect(
      compareKernelStates(withoutFreeClasses(before), withoutFreeClasses(readNetworkLines())),
    ).toEqual([]);
    expect((await network.createAllocation(EXACT)).ip).toBe(EXACT.ip);
  });

  it("overtakes a restore", async () => {
    const network = await openForTest();
    await network.createAllocation(REQUEST);
    await network.standbyAllocation("vm-1");
    const restore = network.recreateAllocation("vm-1");
    const rejected = expect(restore).rejects.toMatchObject(ABORTED);
    await letTheWorkerHaveIt();
    await network.releaseAllocation("vm-1");
    await rejected;
    expect(network.listAllocations()).toEqual([]);
    expect(neighborsOf(BRIDGE)).toEqual([]);
  });

  it("cancels the shaping of a warm fork", async () => {
    const network = await openForTest(testOptions({ pool: { size: 2 } }));
    await poolFilled(network, 2);
    const fork = network.createAllocation(REQUEST);
    const release = network.releaseAllocation("vm-1");
    const { shaped } = await fork;
    await expect(shaped).rejects.toMatchObject(ABORTED);
    await release;
    expect(readLeases(SHAPER)).toEqual(new Map());
  });

  it("of a guest that goes to standby wins", async () => {
    const network = await openForTest();
    await network.createAllocation(REQUEST);
    const standby = network
      .standbyAllocation("vm-1")
      .catch((error: { code: string }) => error.code);
    await network.releaseAllocation("vm-1");
    expect([undefined, "ERR_FORKNET_ABORTED", "ERR_FORKNET_NOT_FOUND"]).toContain(await standby);
    expect(network.listAllocations()).toEqual([]);
    await expectRefused(() => network.recreateAllocation("vm-1"), "NOT_FOUND");
  });
});
