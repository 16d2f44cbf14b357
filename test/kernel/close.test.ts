// close() finishes what was asked for and leaves guests running; destroy() leaves nothing but what
// others own.

import { describe, expect, it, onTestFinished } from "vitest";
import type { Network } from "../../dist/index.js";
import type { LinkInfo } from "../../src/kernel/binding.js";
import { compareKernelStates, readOpenFiles } from "../support/kernel-state.js";
import {
  deleteLink,
  indexOf,
  linkNamed,
  readLeases,
  readNetworkLines,
  tellKernel,
  warmSlots,
} from "../support/kernel-view.js";
import { BRIDGE, openForTest, poolFilled, SHAPER, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";

function request(i: number) {
  return { ...REQUEST, instanceId: `vm-${i}`, instanceName: `name-${i}` };
}

async function expectClosed(network: Network): Promise<void> {
  const closed = { code: "ERR_FORKNET_CLOSED" };
  await expect(network.createAllocation(request(99))).rejects.toMatchObject(closed);
  await expect(network.recreateAllocation("vm-1")).rejects.toMatchObject(closed);
  await expect(network.standbyAllocation("vm-1")).rejects.toMatchObject(closed);
  await expect(network.releaseAllocation("vm-1")).rejects.toMatchObject(closed);
  await expect(network.updateLimits("vm-1", { download: "1mbit" })).rejects.toMatchObject(closed);
  await expect(network.reconcile()).rejects.toMatchObject(closed);
  await expect(network.destroy()).rejects.toMatchObject(closed);
  expect(() => network.drops()).toThrow(expect.objectContaining(closed) as Error);
}

describe("close", () => {
  it("leaves guests as they are, and deletes warm slots", async () => {
    const options = testOptions({ pool: { size: 4 } });
    const network = await openForTest(options);
    const { tap, ifindex } = await network.createAllocation({ ...REQUEST, tapName: "tap-one" });
    await poolFilled(network, 4);
    await network.close();
    expect(warmSlots(BRIDGE)).toEqual([]);
    expect(linkNamed(tap)).toMatchObject({ ifindex, up: true, master: indexOf(BRIDGE) });
    expect(readLeases(SHAPER).get(ifindex)?.instanceId).toBe("vm-1");
  });

  it("finishes what was asked for in its tick", async () => {
    const options = testOptions();
    const first = await openForTest(options);
    for (let i = 0; i < 6; i++) await first.createAllocation(request(i));
    const asked = [
      ...Array.from({ length: 20 }, (_, i) => first.createAllocation(request(10 + i))),
      first.releaseAllocation("vm-0"),
      first.releaseAllocation("vm-1"),
      first.standbyAllocation("vm-2"),
      first.standbyAllocation("vm-3"),
      first.updateLimits("vm-4", { download: "7mbit" }),
    ];
    await first.close();
    await Promise.all(asked);
    const found = (await openForTest(options)).listAllocations();
    const idsOf = (state: string) =>
      found.filter((one) => one.state === state).map((one) => one.instanceId);
    const forked = Array.from({ length: 20 }, (_, i) => `vm-${10 + i}`);
    expect(idsOf("active").sort()).toEqual([...forked, "vm-4", "vm-5"].sort());
    expect(idsOf("standby").sort()).toEqual(["vm-2", "vm-3"]);
    expect(
      found.filter(({ state }) => state === "active").every(({ shaping }) => shaping === "shaped"),
    ).toBe(true);
  });

  it("finishes the shaping of a warm fork", async () => {
    const options = testOptions({ pool: { size: 2 } });
    const network = await openForTest(options);
    await poolFilled(network, 2);
    const fork = network.createAllocation(REQUEST);
    const closing = network.close();
    expect((await fork).shaping).toBe("pending");
    await closing;
    expect((await fork).shaping).toBe("shaped");
  });

  it("is idempotent, and refuses every later call", async () => {
    const network = await openForTest();
    const allocation = await network.createAllocation(REQUEST);
    await Promise.all([network.close(), network.close()]);
    await network.close();
    const before = readNetworkLines();
    await expectClosed(network);
    expect(readNetworkLines()).toEqual(before);
    // What is known stays readable.
    expect(network.getAllocation("vm-1")).toBe(allocation);
  });

  it("refuses calls from its first tick on", async () => {
    const network = await openForTest();
    await network.createAllocation(REQUEST);
    const closing = network.close();
    await expectClosed(network);
    await closing;
  });

  it("ends everything the process held for the network", async () => {
    const options = testOptions();
    await (await openForTest(options)).close();
    const before = readOpenFiles();
    const network = await openForTest(options);
    await network.createAllocation(REQUEST);
    await network.close();
    await expect.poll(() => compareKernelStates(before, readOpenFiles())).toEqual([]);
  });

  it("comes at the end of `await using`", async () => {
    const options = testOptions();
    {
      await using network = await openForTest(options);
      await network.createAllocation(REQUEST);
    }
    expect((await openForTest(options)).listAllocations()).toHaveLength(1);
  });
});

describe("destroy", () => {
  it("removes everything, guests, standby and warm slots included", async () => {
    const before = readNetworkLines();
    const options = testOptions({ pool: { size: 4 } });
    const network = await openForTest(options);
    await poolFilled(network, 4);
    await Promise.all([1, 2, 3].map((i) => network.createAllocation(request(i))));
    await network.standbyAllocation("vm-1");
    const creating = network
      .createAllocation(request(4))
      .catch((error: { code: string }) => error.code);
    await network.destroy();
    expect(await creating).toSatisfy(
      (got) => got === "ERR_FORKNET_ABORTED" || typeof got === "object",
    );
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
    await expectClosed(network);
    expect((await openForTest(options)).listAllocations()).toEqual([]);
  });

  it("takes what an earlier process made", async () => {
    const before = readNetworkLines();
    const options = testOptions();
    const first = await openForTest(options);
    await first.createAllocation(REQUEST);
    await first.close();
    await (await openForTest(options)).destroy();
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
  });

  it("leaves a bridge that somebody else made", async () => {
    tellKernel({ op: "link.create", name: BRIDGE, kind: "bridge" });
    onTestFinished(() => deleteLink(BRIDGE));
    const { ifindex, mac } = linkNamed(BRIDGE) as LinkInfo;
    const options = testOptions();
    const network = await openForTest(options);
    const { tap } = await network.createAllocation(REQUEST);
    expect(linkNamed(BRIDGE)).toMatchObject({ ifindex, mac, up: true, alias: "" });
    expect(linkNamed(tap)?.master).toBe(ifindex);
    await network.destroy();
    expect(linkNamed(BRIDGE)).toMatchObject({ ifindex, mac, up: false });
    expect(linkNamed(SHAPER)).toBeUndefined();
    expect(linkNamed(tap)).toBeUndefined();
  });
});
