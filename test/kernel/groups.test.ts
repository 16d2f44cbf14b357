// Groups: the inner class on the shaper, who stands under it, and when it comes and goes.

import { describe, expect, it } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import type { ClassInfo } from "../../src/kernel/binding.js";
import { classNamed, htbClasses, linkNamed, readLeases } from "../support/kernel-view.js";
import { expectRefused, openForTest, poolFilled, SHAPER, testOptions } from "../support/network.js";
import { readEverything } from "../support/network-state.js";

const CAPACITY = 0x10001;
const A = { instanceId: "a", instanceName: "alpha", group: "team-a", upload: "2mbit" };
const B = { instanceId: "b", instanceName: "beta", group: "team-a", upload: "3mbit" };
const ALONE = { instanceId: "c", instanceName: "gamma", upload: "4mbit" };

function parentOf({ classId }: Allocation): number {
  return classNamed(SHAPER, classId)?.parent ?? 0;
}

/** The group's class, in bits per second. */
function groupClass(network: Network, name = "team-a") {
  const { classId } = network.listGroups().find((one) => one.name === name) ?? { classId: "" };
  const { handle = 0, parent, rate = 0, ceil = 0 } = classNamed(SHAPER, classId) ?? {};
  return { handle, parent, rate: rate * 8, ceil: ceil * 8 };
}

function classes(): ClassInfo[] {
  return htbClasses(SHAPER);
}

describe("the class of a group", () => {
  it("comes with its first guest, holds its guests, and goes with its last", async () => {
    const network = await openForTest();
    const before = classes().map(({ handle }) => handle);
    await network.setGroupLimits("team-a", { upload: { rate: "10mbit", ceil: "20mbit" } });
    expect(network.listGroups()).toEqual([
      {
        name: "team-a",
        upload: { rate: 10e6, ceil: 20e6 },
        guaranteed: 0,
        instanceIds: [],
        classId: "",
      },
    ]);
    const a = await network.createAllocation(A);
    const alone = await network.createAllocation(ALONE);
    const group = groupClass(network);
    expect(group).toMatchObject({ parent: CAPACITY, rate: 10e6, ceil: 20e6 });
    expect([a.group, alone.group]).toEqual(["team-a", undefined]);
    expect([parentOf(a), parentOf(alone)]).toEqual([group.handle, CAPACITY]);
    expect(linkNamed(a.tap)?.alias).toMatch(/ group=team-a$/);
    const b = await network.createAllocation(B);
    expect(parentOf(b)).toBe(group.handle);
    const { classId } = a;
    expect(network.listGroups()).toMatchObject([{ guaranteed: 5e6, instanceIds: ["a", "b"] }]);
    await network.releaseAllocation("a");
    expect(groupClass(network)).toEqual(group);
    // The next guest of the group gets the class that is free under it.
    const again = await network.createAllocation(A);
    expect(again.classId).toBe(classId);
    await Promise.all(["a", "b", "c"].map((id) => network.releaseAllocation(id)));
    const left = classes().map(({ handle }) => handle);
    expect(left.filter((handle) => !before.includes(handle))).toHaveLength(1);
    expect(network.listGroups()).toMatchObject([{ name: "team-a", classId: "" }]);
    await network.setGroupLimits("team-a", null);
    expect(network.listGroups()).toEqual([]);
  });

  it("is there without limits, too, and gets them in place", async () => {
    const network = await openForTest();
    const a = await network.createAllocation(A);
    const { handle } = groupClass(network);
    expect(groupClass(network)).toMatchObject({ ceil: 100e9 });
    await network.setGroupLimits("team-a", { upload: "30mbit" });
    expect(groupClass(network)).toMatchObject({ handle, rate: 30e6, ceil: 30e6 });
    await network.setGroupLimits("team-a", null);
    expect(groupClass(network)).toMatchObject({ handle, ceil: 100e9 });
    expect(parentOf(a)).toBe(handle);
    expect(network.listGroups()).toMatchObject([{ name: "team-a", upload: null }]);
    expect((await network.verify()).differences).toEqual([]);
  });

  it("takes a guest out of the pool, with one class in use at any time", async () => {
    const network = await openForTest(testOptions({ pool: { size: 4 } }));
    await poolFilled(network, 4);
    const fork = network.createAllocation(A);
    const warm = network.getAllocation("a") as Allocation;
    expect(warm.shaping).toBe("pending");
    const first = warm.classId;
    expect(parentOf(warm)).toBe(CAPACITY);
    expect(readLeases(SHAPER).get(warm.ifindex)?.classMinor).toBe(
      Number.parseInt(first.slice(2), 16),
    );
    await (await fork).shaped;
    expect(warm.classId).not.toBe(first);
    expect(parentOf(warm)).toBe(groupClass(network).handle);
    expect(classNamed(SHAPER, warm.classId)).toMatchObject({ rate: 2e6 / 8, ceil: 8e6 / 8 });
    expect(readLeases(SHAPER).get(warm.ifindex)?.classMinor).toBe(
      Number.parseInt(warm.classId.slice(2), 16),
    );
    await poolFilled(network, 4);
    expect((await network.verify()).differences).toEqual([]);
    await network.releaseAllocation("a");
    expect((await network.verify()).differences).toEqual([]);
  });

  it("takes restores and exact identities, out of the pool or not", async () => {
    const network = await openForTest(testOptions({ pool: { size: 2 } }));
    await poolFilled(network, 2);
    await network.createAllocation({ ...A, tapName: "restored0" });
    await network.standbyAllocation("a");
    expect(network.listGroups()).toMatchObject([
      { name: "team-a", instanceIds: ["a"], guaranteed: 0, classId: "" },
    ]);
    await poolFilled(network, 2);
    const back = await network.recreateAllocation("a", { tapName: "restored1" });
    expect(back.group).toBe("team-a");
    expect(parentOf(back)).toBe(groupClass(network).handle);
    await poolFilled(network, 2);
    expect((await network.verify()).differences).toEqual([]);
  });
});

describe("what the guests of a group are guaranteed", () => {
  it("fits under its ceil, whoever comes second", async () => {
    const network = await openForTest();
    await network.setGroupLimits("team-a", { upload: "5mbit" });
    await network.createAllocation(A);
    await network.createAllocation(B);
    const third = { instanceId: "d", instanceName: "delta", group: "team-a", upload: "1kbit" };
    await expectRefused(() => network.createAllocation(third), "EXHAUSTED", {
      message: expect.stringContaining("group team-a 5mbit cannot guarantee 1kbit more") as string,
    });
    await expectRefused(() => network.updateLimits("a", { upload: "3mbit" }), "EXHAUSTED");
    await expectRefused(() => network.setGroupLimits("team-a", { upload: "4mbit" }), "EXHAUSTED");
    expect(groupClass(network)).toMatchObject({ rate: 5e6, ceil: 5e6 });
    await network.updateLimits("a", { upload: "1mbit" });
    await network.setGroupLimits("team-a", { upload: "4mbit" });
    expect(groupClass(network)).toMatchObject({ rate: 4e6, ceil: 4e6 });
    await network.createAllocation({ ...third, group: "team-b" });
  });

  it("counts against the capacity as the larger of theirs and the group's own", async () => {
    const network = await openForTest(testOptions({ uploadCapacity: "20mbit" }));
    await network.setGroupLimits("team-a", { upload: { rate: "10mbit", ceil: "20mbit" } });
    await network.createAllocation(ALONE);
    const rest = { instanceId: "d", instanceName: "delta", upload: "7mbit" };
    await expectRefused(() => network.createAllocation(rest), "EXHAUSTED");
    await network.createAllocation({ ...rest, group: "team-a" });
    await network.createAllocation(B);
    // 4 alone, 10 in the group, and 6 to go.
    await expectRefused(
      () => network.setGroupLimits("team-a", { upload: { rate: "17mbit", ceil: "20mbit" } }),
      "EXHAUSTED",
    );
    await network.updateLimits("d", { upload: "13mbit" });
    await expectRefused(() => network.createAllocation({ ...A, upload: "1mbit" }), "EXHAUSTED");
    await network.releaseAllocation("d");
    await network.createAllocation({ ...A, upload: "6mbit" });
    await network.setGroupLimits("team-a", null);
    await network.updateLimits("c", { upload: "11mbit" });
  });
});

describe("bad wishes", () => {
  it("are refused, and change nothing", async () => {
    const network = await openForTest();
    const set = (name: unknown, limits: unknown) => () =>
      network.setGroupLimits(name as string, limits as null);
    for (const name of ["", "team a", "a".repeat(65), undefined, 7])
      await expectRefused(set(name, null), "CONFIG");
    for (const limits of [
      undefined,
      {},
      { upload: "1mbps" },
      { upload: 0 },
      { upload: { rate: "2mbit", ceil: "1mbit" } },
      { uploads: "1mbit" },
    ])
      await expectRefused(set("team-a", limits), "CONFIG");
    await expectRefused(set("team-a", { upload: "1mbit", download: "1mbit" }), "CONFIG", {
      message: expect.stringContaining("no download total") as string,
    });
    await expectRefused(() => network.createAllocation({ ...A, group: "team a" }), "CONFIG");
    const long = "x".repeat(60);
    await expectRefused(
      () => network.createAllocation({ ...A, instanceId: long, instanceName: long, group: "y" }),
      "CONFIG",
      { message: expect.stringContaining("at most 120 characters") as string },
    );
    await network.createAllocation({ instanceId: long, instanceName: long });
    expect(network.listGroups()).toEqual([]);
    await network.close();
    await expect(network.setGroupLimits("team-a", null)).rejects.toMatchObject({
      code: "ERR_FORKNET_CLOSED",
    });
  });
});

describe("after the process", () => {
  it("a group, its guests and its limits are back, and the kernel is as it was", async () => {
    const options = testOptions();
    const first = await openForTest(options);
    await first.setGroupLimits("team-a", { upload: { rate: "10mbit", ceil: "20mbit" } });
    await first.setGroupLimits("later", { upload: "1mbit" });
    await first.createAllocation(A);
    await first.createAllocation(B);
    await first.createAllocation({ ...ALONE, group: "team-c" });
    await first.releaseAllocation("b");
    await first.createAllocation({ ...B, group: "asleep" });
    await first.standbyAllocation("b");
    const told = first.listGroups();
    await first.close();
    const before = readEverything();
    const second = await openForTest(options);
    expect(readEverything()).toEqual(before);
    expect(second.listGroups()).toEqual(told);
    expect(told.map(({ name }) => name)).toEqual(["asleep", "later", "team-a", "team-c"]);
    expect((await second.verify()).differences).toEqual([]);
    // The class of the guest that was released is found under the group again.
    const b = await second.recreateAllocation("b");
    expect(b.group).toBe("asleep");
    const d = await second.createAllocation({ ...B, instanceId: "d", instanceName: "delta" });
    expect(parentOf(d)).toBe(groupClass(second).handle);
    await Promise.all(["a", "b", "c", "d"].map((id) => second.releaseAllocation(id)));
    expect(classes().filter(({ handle, leaf }) => handle > 0x10002 && leaf === 0)).toEqual([]);
  });
});
