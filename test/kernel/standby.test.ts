// Standby and restore: the TAP goes, the identity and the limits stay, on disk and across
// processes.

import { describe, expect, it } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import { compareKernelStates } from "../support/kernel-state.js";
import {
  classNamed,
  deleteLink,
  fdbOf,
  indexOf,
  linkNamed,
  macNumber,
  makeForeignLink,
  neighborsOf,
  readLeases,
  readNetworkLines,
  tbfOf,
} from "../support/kernel-view.js";
import { BRIDGE, expectRefused, openForTest, SHAPER, testOptions } from "../support/network.js";
import { REQUEST as LIMITED } from "../support/requests.js";

const REQUEST = { ...LIMITED, upload: { rate: "20mbit", ceil: "70mbit" } };

function expectLimits(allocation: Allocation, download: number, rate: number, ceil: number): void {
  expect(tbfOf(allocation.tap)?.rate).toBe(download / 8);
  expect(classNamed(SHAPER, allocation.classId)).toMatchObject({ rate: rate / 8, ceil: ceil / 8 });
}

async function forkAndStandBy(network: Network): Promise<Allocation> {
  const allocation = await network.createAllocation(REQUEST);
  await network.standbyAllocation("vm-1");
  return allocation;
}

describe("standby", () => {
  it("deletes the TAP and keeps the identity", async () => {
    const network = await openForTest();
    const before = readNetworkLines();
    const allocation = await network.createAllocation(REQUEST);
    const { ip, mac, tap } = allocation;
    await network.standbyAllocation("vm-1");
    expect(allocation).toMatchObject({
      ip,
      mac,
      tap: "",
      ifindex: 0,
      classId: "",
      state: "standby",
      shaping: "none",
    });
    expect(linkNamed(tap)).toBeUndefined();
    expect(readLeases(SHAPER)).toEqual(new Map());
    expect(neighborsOf(BRIDGE)).toEqual([]);
    const left = compareKernelStates(before, readNetworkLines());
    expect(
      left.every((line) => line.startsWith("+ class htb") || line.startsWith("+ qdisc tbf")),
    ).toBe(true);
  });

  it("keeps name, address and MAC from everybody else", async () => {
    const network = await openForTest();
    const { ip, mac } = await forkAndStandBy(network);
    const other = { instanceId: "vm-2", instanceName: "beta" };
    await expectRefused(() => network.createAllocation({ ...other, ip }), "ADDRESS_IN_USE");
    await expectRefused(() => network.createAllocation({ ...other, mac }), "ADDRESS_IN_USE");
    await expectRefused(
      () => network.createAllocation({ ...other, instanceName: "alpha" }),
      "NAME_EXISTS",
    );
    await expectRefused(() => network.createAllocation(REQUEST), "ID_EXISTS");
  });

  it("is idempotent, also when asked for twice at once", async () => {
    const network = await openForTest();
    await network.createAllocation(REQUEST);
    await Promise.all([network.standbyAllocation("vm-1"), network.standbyAllocation("vm-1")]);
    await network.standbyAllocation("vm-1");
    expect(network.getAllocation("vm-1")?.state).toBe("standby");
  });

  it("waits for a creation under way", async () => {
    const network = await openForTest();
    const fork = network.createAllocation(REQUEST);
    await network.standbyAllocation("vm-1");
    expect((await fork).state).toBe("standby");
    expect(readLeases(SHAPER)).toEqual(new Map());
  });

  it("ends with a release, on disk too", async () => {
    const options = testOptions();
    const network = await openForTest(options);
    const { ip } = await forkAndStandBy(network);
    await network.releaseAllocation("vm-1");
    expect(network.listAllocations()).toEqual([]);
    await network.close();
    const next = await openForTest(options);
    expect(next.listAllocations()).toEqual([]);
    expect(
      (await next.createAllocation({ instanceId: "vm-2", instanceName: "alpha", ip })).ip,
    ).toBe(ip);
  });

  it("gives its guarantee back until the restore", async () => {
    const network = await openForTest(testOptions({ uploadCapacity: "30mbit" }));
    await forkAndStandBy(network);
    const other = { instanceId: "vm-2", instanceName: "beta", upload: "20mbit" };
    await network.createAllocation(other);
    await expectRefused(() => network.recreateAllocation("vm-1"), "EXHAUSTED");
    expect(network.getAllocation("vm-1")?.state).toBe("standby");
    await network.releaseAllocation("vm-2");
    expect((await network.recreateAllocation("vm-1")).state).toBe("active");
  });
});

describe("a restore", () => {
  it("brings back name, address, MAC and limits, the ceil included", async () => {
    const network = await openForTest();
    const allocation = await forkAndStandBy(network);
    const { ip, mac } = allocation;
    const restored = await network.recreateAllocation("vm-1");
    expect(restored).toBe(allocation);
    expect(restored).toMatchObject({
      instanceName: "alpha",
      ip,
      mac,
      state: "active",
      shaping: "shaped",
    });
    await restored.shaped;
    expect(linkNamed(restored.tap)).toMatchObject({
      master: indexOf(BRIDGE),
      up: true,
      port: { isolated: true },
    });
    expect(fdbOf(BRIDGE, restored.tap).map((entry) => entry.mac)).toContain(macNumber(mac));
    expect(readLeases(SHAPER).get(restored.ifindex)?.instanceId).toBe("vm-1");
    expectLimits(restored, 100e6, 20e6, 70e6);
  });

  it("takes the TAP name and the limits it is given", async () => {
    const network = await openForTest();
    await forkAndStandBy(network);
    const restored = await network.recreateAllocation("vm-1", {
      tapName: "tap-back",
      download: "7mbit",
    });
    expect(restored.tap).toBe("tap-back");
    expectLimits(restored, 7e6, 20e6, 70e6);
    await network.standbyAllocation("vm-1");
    expectLimits(await network.recreateAllocation("vm-1", { upload: "8mbit" }), 7e6, 8e6, 32e6);
  });

  it("works in another open of the network, from the leases on disk", async () => {
    const options = testOptions();
    const first = await openForTest(options);
    const { ip, mac } = await forkAndStandBy(first);
    await first.close();
    const second = await openForTest(options);
    expect(second.getAllocation("vm-1")).toMatchObject({
      ip,
      mac,
      instanceName: "alpha",
      state: "standby",
      tap: "",
    });
    expect(second.nameExists("alpha")).toBe(true);
    await expectRefused(
      () => second.createAllocation({ instanceId: "b", instanceName: "b", ip }),
      "ADDRESS_IN_USE",
    );
    const restored = await second.recreateAllocation("vm-1");
    expect(restored).toMatchObject({ ip, mac });
    expectLimits(restored, 100e6, 20e6, 70e6);
    await second.close();
    // The record on disk went with the restore: the live guest is found once.
    expect((await openForTest(options)).listAllocations()).toMatchObject([
      { instanceId: "vm-1", state: "active" },
    ]);
  });

  it("is refused for a guest that is not in standby", async () => {
    const network = await openForTest();
    await expectRefused(() => network.recreateAllocation("vm-9"), "NOT_FOUND");
    const fork = network.createAllocation(REQUEST);
    await expect(network.recreateAllocation("vm-1")).rejects.toMatchObject({
      code: "ERR_FORKNET_ID_EXISTS",
    });
    await fork;
    await expectRefused(() => network.recreateAllocation("vm-1"), "ID_EXISTS");
  });

  it("that fails leaves the guest in standby with its limits", async () => {
    const network = await openForTest();
    await forkAndStandBy(network);
    makeForeignLink("taken0");
    const wish = { tapName: "taken0", download: "1mbit" };
    await expectRefused(() => network.recreateAllocation("vm-1", wish), "CONFLICT", {
      device: "taken0",
    });
    expect(network.getAllocation("vm-1")).toMatchObject({
      state: "standby",
      tap: "",
      classId: "",
      shaping: "none",
    });
    deleteLink("taken0");
    expectLimits(
      await network.recreateAllocation("vm-1", { tapName: "taken0" }),
      100e6,
      20e6,
      70e6,
    );
  });

  it("is refused while another guest has the wished TAP name", async () => {
    const network = await openForTest();
    await forkAndStandBy(network);
    const { tap } = await network.createAllocation({ instanceId: "vm-2", instanceName: "beta" });
    await expectRefused(
      () => network.recreateAllocation("vm-1", { tapName: tap }),
      "ADDRESS_IN_USE",
    );
  });
});
