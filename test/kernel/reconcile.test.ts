// reconcile() brings knowledge and kernel together: strays of ours go, what is not provably ours
// stays.

import { describe, expect, it } from "vitest";
import {
  deleteLink,
  linkNamed,
  makeTap,
  neighborsOf,
  readLeases,
  readNetworkLines,
} from "../support/kernel-view.js";
import {
  BRIDGE,
  expectRefused,
  openForTest,
  poolFilled,
  SHAPER,
  testOptions,
} from "../support/network.js";

const SLOT_ALIAS = "forknet1 /slot 10.100.9.9 02:00:0a:64:09:09 1:99";

function request(i: number) {
  return {
    instanceId: `vm-${i}`,
    instanceName: `name-${i}`,
    download: "100mbit",
    upload: "20mbit",
  };
}

describe("reconcile", () => {
  it("finds nothing to do in a network that is as it should be", async () => {
    const network = await openForTest(testOptions({ pool: { size: 4 } }));
    await poolFilled(network, 4);
    await network.createAllocation(request(1));
    await network.createAllocation({ ...request(2), tapName: "tap-two" });
    await network.standbyAllocation("vm-2");
    await poolFilled(network, 4);
    const before = readNetworkLines();
    expect(await network.reconcile()).toEqual({
      dryRun: false,
      kept: 2,
      actions: [],
      remaining: 0,
    });
    expect(readNetworkLines()).toEqual(before);
  });

  it("deletes a stray TAP of ours, and says how it knows", async () => {
    const network = await openForTest();
    makeTap("stray-on", { alias: SLOT_ALIAS, master: BRIDGE });
    makeTap("stray-off", { alias: SLOT_ALIAS.replaceAll("9.9", "9.8") });
    const report = await network.reconcile();
    expect(report.kept).toBe(0);
    expect(report.actions).toHaveLength(2);
    for (const action of report.actions) expect(action).toMatchObject({ action: "delete_tap" });
    expect(report.actions.find(({ subject }) => subject === "stray-on")?.proof).toContain(
      SLOT_ALIAS,
    );
    expect(linkNamed("stray-on")).toBeUndefined();
    expect(linkNamed("stray-off")).toBeUndefined();
  });

  it("does not touch what is not provably ours", async () => {
    const network = await openForTest();
    makeTap("foreign-plain", { master: BRIDGE });
    makeTap("foreign-alias", { alias: "web server 3", master: BRIDGE });
    makeTap("other-subnet", { alias: "forknet1 /slot 10.200.9.9 02:00:0a:c8:09:09 1:99" });
    const before = readNetworkLines();
    expect((await network.reconcile({ keep: [] })).actions).toEqual([]);
    expect(readNetworkLines()).toEqual(before);
  });

  it("releases a guest whose TAP was deleted from outside", async () => {
    const network = await openForTest();
    const { tap, ip, ifindex } = await network.createAllocation(request(1));
    const other = await network.createAllocation(request(2));
    deleteLink(tap);
    const report = await network.reconcile();
    expect(report).toMatchObject({ kept: 1, actions: [{ action: "release", subject: "vm-1" }] });
    expect(network.listAllocations()).toEqual([other]);
    expect(readLeases(SHAPER).has(ifindex)).toBe(false);
    expect(neighborsOf(BRIDGE)).toHaveLength(1);
    expect((await network.createAllocation({ ...request(1), ip })).ip).toBe(ip);
  });

  it("releases who is not on the list of guests to keep, standby included", async () => {
    const network = await openForTest();
    await Promise.all([1, 2, 3].map((i) => network.createAllocation(request(i))));
    await network.standbyAllocation("vm-3");
    const report = await network.reconcile({ keep: new Set(["vm-2", "vm-9"]) });
    expect(report.kept).toBe(1);
    expect(report.actions.map(({ action, subject }) => `${action} ${subject}`).sort()).toEqual([
      "release vm-1",
      "release vm-3",
    ]);
    expect(network.listAllocations().map(({ instanceId }) => instanceId)).toEqual(["vm-2"]);
  });

  it("keeps who is too young to be on any list", async () => {
    const network = await openForTest();
    await network.createAllocation(request(1));
    expect(await network.reconcile({ keep: [], minAgeMs: 3_600_000 })).toMatchObject({
      kept: 1,
      actions: [],
    });
    expect(await network.reconcile({ keep: [], minAgeMs: 0 })).toMatchObject({ kept: 0 });
    expect(network.listAllocations()).toEqual([]);
  });

  it("only tells, in a dry run", async () => {
    const network = await openForTest();
    const { tap } = await network.createAllocation(request(1));
    await network.createAllocation(request(2));
    makeTap("stray-on", { alias: SLOT_ALIAS, master: BRIDGE });
    deleteLink(tap);
    const before = readNetworkLines();
    const report = await network.reconcile({ keep: ["vm-1"], dryRun: true });
    expect(report).toMatchObject({ dryRun: true, kept: 0 });
    expect(report.actions.map(({ subject }) => subject).sort()).toEqual([
      "stray-on",
      "vm-1",
      "vm-2",
    ]);
    expect(readNetworkLines()).toEqual(before);
    expect(network.listAllocations().map(({ state }) => state)).toEqual(["active", "active"]);
    expect((await network.reconcile({ keep: ["vm-1"] })).actions).toEqual(report.actions);
  });

  it("runs among forks and releases without touching them", async () => {
    const network = await openForTest(testOptions({ pool: { size: 8 } }));
    const forks = Array.from({ length: 40 }, (_, i) => network.createAllocation(request(i)));
    const reports = [network.reconcile(), network.reconcile()];
    const releases = forks
      .slice(0, 20)
      .map(async (fork) => network.releaseAllocation((await fork).instanceId));
    reports.push(network.reconcile());
    await Promise.all(releases);
    reports.push(network.reconcile());
    expect((await Promise.all(reports)).flatMap(({ actions }) => actions)).toEqual([]);
    const kept = network.listAllocations();
    expect(kept).toHaveLength(20);
    for (const { tap, ifindex } of kept) expect(linkNamed(tap)?.ifindex).toBe(ifindex);
  });

  it.each([{ keep: "vm-1" }, { minAgeMs: -1 }, { dryRun: 1 }, { force: true }, null])(
    "refuses %o",
    async (options) => {
      const network = await openForTest();
      await expectRefused(() => network.reconcile(options as object), "CONFIG");
    },
  );
});
