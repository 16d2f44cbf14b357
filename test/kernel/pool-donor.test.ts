// Forks and restores with an exact identity, out of a warm pool: the slot takes the identity on, or
// gives way.

import { describe, expect, it } from "vitest";
import type { Allocation } from "../../dist/index.js";
import { compareKernelStates } from "../support/kernel-state.js";
import {
  classNamed,
  deleteLink,
  fdbOf,
  ipNumber,
  linkNamed,
  macNumber,
  neighborsOf,
  readLeases,
  readNetworkLines,
  tbfOf,
  tellKernel,
  warmSlots,
} from "../support/kernel-view.js";
import { BRIDGE, openForTest, poolFilled, SHAPER, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";

/** Everything of a guest is in the kernel under its own identity, and nothing of another. */
function expectWhole(allocation: Allocation): void {
  const { tap, ip, mac, ifindex, instanceId } = allocation;
  expect(linkNamed(tap)).toMatchObject({ ifindex, up: true, port: { isolated: true } });
  expect(linkNamed(tap)?.alias).toContain(`forknet1 ${instanceId} `);
  expect(fdbOf(BRIDGE, tap).filter(({ state }) => state === 0x40)).toEqual([
    { mac: macNumber(mac), state: 0x40 },
  ]);
  expect(neighborsOf(BRIDGE).filter((entry) => entry.ip === ipNumber(ip))).toMatchObject([
    { mac: macNumber(mac) },
  ]);
  expect(readLeases(SHAPER).get(ifindex)).toMatchObject({ instanceId, blocked: false });
  expect(tbfOf(tap)?.rate).toBe(100e6 / 8);
  expect(classNamed(SHAPER, allocation.classId)?.rate).toBe(20e6 / 8);
}

describe("an exact identity", () => {
  it("is taken on by a warm slot: name, address, MAC", async () => {
    const network = await openForTest(testOptions({ pool: { size: 4 } }));
    await poolFilled(network, 4);
    const warm = warmSlots(BRIDGE).map((name) => linkNamed(name)?.ifindex);
    const named = await network.createAllocation({ ...REQUEST, tapName: "tap-exact" });
    const wishes = { ip: "10.100.7.7", mac: "02:00:00:12:34:56" };
    const placed = await network.createAllocation({
      ...REQUEST,
      instanceId: "vm-2",
      instanceName: "beta",
      ...wishes,
    });
    expect(named.tap).toBe("tap-exact");
    expect(placed).toMatchObject(wishes);
    for (const allocation of [named, placed]) {
      expect(warm).toContain(allocation.ifindex);
      expect(allocation.shaping).toBe("shaped");
      expectWhole(allocation);
    }
  });

  it("that a warm slot holds is given up by it", async () => {
    const network = await openForTest(testOptions({ pool: { size: 3 } }));
    await poolFilled(network, 3);
    const [name] = warmSlots(BRIDGE) as [string];
    const ip = linkNamed(name)?.alias.split(" ")[2] as string;
    const allocation = await network.createAllocation({
      ...REQUEST,
      ip,
      mac: "02:00:00:12:34:56",
      tapName: name,
    });
    expect(allocation).toMatchObject({ ip, tap: name, mac: "02:00:00:12:34:56" });
    expectWhole(allocation);
  });

  it("is made from nothing when the slot was deleted behind our back", async () => {
    const network = await openForTest(testOptions({ pool: { size: 1 } }));
    await poolFilled(network, 1);
    const [name] = warmSlots(BRIDGE) as [string];
    deleteLink(name);
    const allocation = await network.createAllocation({ ...REQUEST, ip: "10.100.7.7" });
    expect(allocation.ip).toBe("10.100.7.7");
    expectWhole(allocation);
  });

  it("that is taken leaves the pool and the kernel as they were", async () => {
    const network = await openForTest(testOptions({ pool: { size: 2 } }));
    await poolFilled(network, 2);
    const links = () => readNetworkLines().filter((line) => line.startsWith("link ")).length;
    const before = links();
    tellKernel({ op: "link.create", name: "tap-exact", kind: "ifb" });
    const taken = { code: "ERR_FORKNET_CONFLICT" };
    await expect(
      network.createAllocation({ ...REQUEST, tapName: "tap-exact" }),
    ).rejects.toMatchObject(taken);
    deleteLink("tap-exact");
    expect(network.getAllocation("vm-1")).toBeUndefined();
    await poolFilled(network, 2);
    expect(links()).toBe(before);
  });
});

describe("a restore", () => {
  it("comes back in a warm slot, many times, and leaves nothing when all is destroyed", async () => {
    const before = readNetworkLines();
    const network = await openForTest(testOptions({ pool: { size: 4 } }));
    await poolFilled(network, 4);
    const { ip, mac } = await network.createAllocation(REQUEST);
    for (let i = 0; i < 5; i++) {
      await network.standbyAllocation("vm-1");
      const restored = await network.recreateAllocation("vm-1");
      expect(restored).toMatchObject({ ip, mac, state: "active", shaping: "shaped" });
      expectWhole(restored);
    }
    await network.destroy();
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
  });

  it("is abandoned by a release without leaving anything", async () => {
    const before = readNetworkLines();
    const network = await openForTest(testOptions({ pool: { size: 4 } }));
    await poolFilled(network, 4);
    await network.createAllocation(REQUEST);
    await network.standbyAllocation("vm-1");
    const restore = network.recreateAllocation("vm-1");
    const refused = expect(restore).rejects.toMatchObject({
      code: expect.stringMatching(/ABORTED|NOT_FOUND/),
    });
    await network.releaseAllocation("vm-1");
    await refused;
    expect(network.listAllocations()).toEqual([]);
    await network.destroy();
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
  });
});
