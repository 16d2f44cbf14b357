// updateLimits on live guests and in standby: in place, one after the other, and all or nothing.

import { describe, expect, it } from "vitest";
import type { Allocation } from "../../dist/index.js";
import { classNamed, linkNamed, readLeases, tbfOf } from "../support/kernel-view.js";
import { expectRefused, openForTest, poolFilled, SHAPER, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";

/** What the kernel enforces, in bits per second. */
function limitsOf({ tap, classId }: Allocation): { download: number; rate: number; ceil: number } {
  const { rate = 0, ceil = 0 } = classNamed(SHAPER, classId) ?? {};
  return { download: (tbfOf(tap)?.rate ?? 0) * 8, rate: rate * 8, ceil: ceil * 8 };
}

describe("of a live guest", () => {
  it("are changed in place, each side by itself", async () => {
    const network = await openForTest();
    const allocation = await network.createAllocation(REQUEST);
    const { tap, ifindex, classId } = allocation;
    const leaf = classNamed(SHAPER, classId)?.leaf;
    await network.updateLimits("vm-1", { download: "7mbit" });
    expect(limitsOf(allocation)).toEqual({ download: 7e6, rate: 20e6, ceil: 80e6 });
    await network.updateLimits("vm-1", { upload: { rate: "3mbit", ceil: "5mbit" } });
    expect(limitsOf(allocation)).toEqual({ download: 7e6, rate: 3e6, ceil: 5e6 });
    expect(allocation).toMatchObject({ tap, ifindex, classId, shaping: "shaped" });
    expect(classNamed(SHAPER, classId)?.leaf).toBe(leaf);
    expect(linkNamed(tap)?.alias).toMatch(/ down=7mbit up=3mbit\/5mbit at=/);
  });

  it("are changed twice in one tick: the later wins, both settle", async () => {
    const network = await openForTest();
    const allocation = await network.createAllocation(REQUEST);
    await Promise.all([
      network.updateLimits("vm-1", { download: "7mbit", upload: "1mbit" }),
      network.updateLimits("vm-1", { download: "8mbit" }),
    ]);
    expect(limitsOf(allocation)).toEqual({ download: 8e6, rate: 1e6, ceil: 4e6 });
  });

  it("are changed while the first shaping waits", async () => {
    const network = await openForTest(testOptions({ pool: { size: 4 } }));
    await poolFilled(network, 4);
    const fork = network.createAllocation(REQUEST);
    expect(network.getAllocation("vm-1")).toMatchObject({ state: "active", shaping: "pending" });
    const update = network.updateLimits("vm-1", { download: "9mbit" });
    const allocation = await fork;
    await Promise.all([update, allocation.shaped]);
    expect(allocation.shaping).toBe("shaped");
    expect(limitsOf(allocation)).toEqual({ download: 9e6, rate: 20e6, ceil: 80e6 });
  });

  it("are taken away and set again, each side by itself", async () => {
    const network = await openForTest();
    const allocation = await network.createAllocation(REQUEST);
    const limited = limitsOf(allocation);
    await network.updateLimits("vm-1", { download: null });
    expect(limitsOf(allocation)).toEqual({ ...limited, download: 100e9 });
    await network.updateLimits("vm-1", { upload: null });
    // What is guaranteed is the base limit.
    expect(limitsOf(allocation)).toEqual({ download: 100e9, rate: 10e6, ceil: 100e9 });
    expect(linkNamed(allocation.tap)?.alias).toMatch(/ down=max up=max at=/);
    await network.updateLimits("vm-1", {
      download: limited.download,
      upload: { rate: limited.rate, ceil: limited.ceil },
    });
    expect(limitsOf(allocation)).toEqual(limited);
  });

  it("are raised beyond 32 bits", async () => {
    const network = await openForTest();
    const allocation = await network.createAllocation(REQUEST);
    await network.updateLimits("vm-1", {
      download: "100gbit",
      upload: { rate: "40gbit", ceil: "100gbit" },
    });
    expect(limitsOf(allocation)).toEqual({ download: 100e9, rate: 40e9, ceil: 100e9 });
  });

  it("stay when they are what they were, and with nothing asked for", async () => {
    const network = await openForTest();
    const allocation = await network.createAllocation(REQUEST);
    await network.updateLimits("vm-1", {});
    await network.updateLimits("vm-1", { download: "100mbit", upload: "20mbit" });
    expect(limitsOf(allocation)).toEqual({ download: 100e6, rate: 20e6, ceil: 80e6 });
  });

  it("survive the process", async () => {
    const options = testOptions();
    const first = await openForTest(options);
    await first.createAllocation(REQUEST);
    await first.updateLimits("vm-1", {
      download: "7mbit",
      upload: { rate: "3mbit", ceil: "5mbit" },
    });
    await first.close();
    const adopted = (await openForTest(options)).getAllocation("vm-1") as Allocation;
    expect(adopted.shaping).toBe("shaped");
    expect(limitsOf(adopted)).toEqual({ download: 7e6, rate: 3e6, ceil: 5e6 });
  });

  it("are refused over the capacity, and stay", async () => {
    const network = await openForTest(testOptions({ uploadCapacity: "30mbit" }));
    const allocation = await network.createAllocation(REQUEST);
    const before = limitsOf(allocation);
    const wish = { download: "1mbit", upload: "31mbit" };
    await expectRefused(() => network.updateLimits("vm-1", wish), "EXHAUSTED");
    expect(limitsOf(allocation)).toEqual(before);
    expect(allocation.shaping).toBe("shaped");
    // The sum of guarantees is as it was: 10 of 30 are free, not more and not less.
    const other = { instanceId: "vm-2", instanceName: "beta" };
    await expectRefused(
      () => network.createAllocation({ ...other, upload: "11mbit" }),
      "EXHAUSTED",
    );
    await network.createAllocation({ ...other, upload: "10mbit" });
    await network.standbyAllocation("vm-1");
    expect(limitsOf(await network.recreateAllocation("vm-1"))).toEqual(before);
  });

  it("are refused when they are bad, for a guest that is not there, and one that is leaving", async () => {
    const network = await openForTest();
    const allocation = await network.createAllocation(REQUEST);
    const before = limitsOf(allocation);
    await expectRefused(() => network.updateLimits("vm-1", { download: "1mbps" }), "CONFIG");
    await expectRefused(
      () => network.updateLimits("vm-1", { upload: { rate: "2mbit", ceil: "1mbit" } }),
      "CONFIG",
    );
    await expectRefused(() => network.updateLimits("vm-1", { speed: 1 } as object), "CONFIG");
    await expectRefused(() => network.updateLimits("vm-9", { download: "1mbit" }), "NOT_FOUND");
    expect(limitsOf(allocation)).toEqual(before);
    const release = network.releaseAllocation("vm-1");
    await expect(network.updateLimits("vm-1", { download: "1mbit" })).rejects.toMatchObject({
      code: "ERR_FORKNET_NOT_FOUND",
    });
    await release;
  });
});

describe("in standby", () => {
  it("are stored, and in force after the restore", async () => {
    const options = testOptions();
    const first = await openForTest(options);
    await first.createAllocation(REQUEST);
    await first.standbyAllocation("vm-1");
    await first.updateLimits("vm-1", { upload: { rate: "3mbit", ceil: "5mbit" } });
    await first.close();
    const second = await openForTest(options);
    await second.updateLimits("vm-1", { download: "7mbit" });
    expect(limitsOf(await second.recreateAllocation("vm-1"))).toEqual({
      download: 7e6,
      rate: 3e6,
      ceil: 5e6,
    });
  });

  it("may be asked for as they are", async () => {
    const options = testOptions();
    const first = await openForTest(options);
    await first.createAllocation(REQUEST);
    await first.standbyAllocation("vm-1");
    await first.updateLimits("vm-1", { download: "100mbit" });
    await first.close();
    const second = await openForTest(options);
    await second.updateLimits("vm-1", { upload: "20mbit" });
    expect(second.getAllocation("vm-1")?.state).toBe("standby");
  });
});

it("keep the lease of a guest that updates and goes to standby in one tick", async () => {
  const network = await openForTest();
  await network.createAllocation(REQUEST);
  await Promise.all([
    network.updateLimits("vm-1", { download: "7mbit" }),
    network.standbyAllocation("vm-1"),
  ]);
  expect(readLeases(SHAPER)).toEqual(new Map());
  expect(limitsOf(await network.recreateAllocation("vm-1"))).toMatchObject({ download: 7e6 });
});
