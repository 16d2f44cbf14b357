// What nobody has: what is provably ours goes, what failed undos left goes and frees its identity,
// and what is not provably ours stays as it is.

import { describe, expect, it, onTestFinished } from "vitest";
import { ERRNO, openWithFaults } from "../support/faults.js";
import {
  classNamed,
  indexOf,
  ipNumber,
  linkNamed,
  macNumber,
  makeTap,
  neighborsOf,
  readLeases,
  readNetworkLines,
  tellKernel,
} from "../support/kernel-view.js";
import { LeaseMap } from "../support/lease-map.js";
import { BRIDGE, openForTest, SHAPER, testOptions } from "../support/network.js";

const HTB_ROOT = 0x10000;
const CAPACITY = HTB_ROOT | 1;
const SLOT_ALIAS = "forknet1 /slot 10.100.9.9 02:00:0a:64:09:09 1:99";
const ALWAYS = Number.POSITIVE_INFINITY;
const REQUEST = { instanceId: "vm-1", instanceName: "alpha", upload: "20mbit" };
const IP = "10.100.0.77";
/** And the bridge. */
const DELETION_GROUP = 0x666b_0000;

/** A class as `tc class add` makes it, with a leaf where a handle is given. */
function addClass(minor: number, leaf?: number): void {
  const ifindex = indexOf(SHAPER);
  const handle = HTB_ROOT | minor;
  const rates = { rate: 1e6, ceil: 1e6, burstBytes: 5000, cburstBytes: 5000, quantumBytes: 60_000 };
  tellKernel({ op: "class.htb", verb: "add", ifindex, parent: CAPACITY, handle, ...rates });
  if (leaf === undefined) return;
  const queue = { ifindex, parent: handle, handle: leaf * HTB_ROOT, limitBytes: 9000 };
  tellKernel({ op: "qdisc.bfifo", verb: "add", ...queue });
}

function actionsOf({ actions }: { actions: { action: string; subject: string }[] }): string[] {
  return actions.map(({ action, subject }) => `${action} ${subject}`);
}

describe("what is not provably ours", () => {
  it.each<[string, () => void]>([
    ["a TAP on our bridge without an alias", () => makeTap("foreign", { master: BRIDGE })],
    [
      "a TAP on our bridge with another alias",
      () => makeTap("foreign", { master: BRIDGE, alias: "web server 3" }),
    ],
    [
      "a TAP on our bridge with an alias that is almost ours",
      () => makeTap("foreign", { master: BRIDGE, alias: SLOT_ALIAS.replace("1 ", "2 ") }),
    ],
    [
      "a TAP on another bridge with an alias of our subnet",
      () => {
        tellKernel({ op: "link.create", name: "other0", kind: "bridge" });
        onTestFinished(() => tellKernel({ op: "link.delete", ifindex: indexOf("other0") }));
        makeTap("foreign", { master: "other0", alias: SLOT_ALIAS });
      },
    ],
    [
      "a TAP on no bridge with an alias of another subnet",
      () => makeTap("foreign", { alias: SLOT_ALIAS.replaceAll("10.100", "10.200") }),
    ],
    ["a class on the shaper", () => addClass(0x10)],
    ["a class on the shaper with a queue", () => addClass(0x10, 0x500)],
    [
      "a neighbour outside our subnet",
      () =>
        tellKernel({
          op: "neighbor.set",
          ifindex: indexOf(BRIDGE),
          ip: ipNumber("10.200.0.9"),
          mac: macNumber("02:00:0a:c8:00:09"),
        }),
    ],
    [
      "a neighbour in our subnet with a MAC of its own",
      () =>
        tellKernel({
          op: "neighbor.set",
          ifindex: indexOf(BRIDGE),
          ip: ipNumber("10.100.0.9"),
          mac: macNumber("52:54:00:00:00:09"),
        }),
    ],
  ])("is left alone, here and at the next open: %s", async (_, make) => {
    const options = testOptions();
    const network = await openForTest(options);
    make();
    const before = readNetworkLines();
    expect(await network.reconcile({ keep: [] })).toMatchObject({ actions: [], remaining: 0 });
    expect(await network.verify()).toMatchObject({ differences: [] });
    expect(readNetworkLines()).toEqual(before);
    await network.close();
    const again = await openForTest(options);
    // Or the bridge would be left with it.
    onTestFinished(() => {
      if (linkNamed("foreign"))
        tellKernel({ op: "link.set", ifindex: indexOf("foreign"), master: 0 });
    });
    expect(await again.reconcile({ keep: [] })).toMatchObject({ actions: [] });
    expect(readNetworkLines()).toEqual(before);
  });

  it("is in nobody's way: a guest gets another class", async () => {
    const options = testOptions();
    const network = await openForTest(options);
    addClass(0x10);
    addClass(0x11, 0x500);
    await network.reconcile();
    const foreign = [classNamed(SHAPER, "1:10"), classNamed(SHAPER, "1:11")];
    expect((await network.createAllocation(REQUEST)).classId).toBe("1:12");
    await network.close();
    const again = await openForTest(options);
    const other = await again.createAllocation({ instanceId: "vm-2", instanceName: "beta" });
    expect(other.classId).toBe("1:13");
    expect([classNamed(SHAPER, "1:10"), classNamed(SHAPER, "1:11")]).toEqual(foreign);
  });
});

describe("what is ours and nobody has", () => {
  it("a map entry without a link goes", async () => {
    const network = await openForTest();
    const { ifindex } = await network.createAllocation(REQUEST);
    LeaseMap.in(SHAPER).copy(ifindex, 99_999);
    expect(actionsOf(await network.reconcile())).toEqual(["delete_lease ifindex 99999"]);
    expect([...readLeases(SHAPER).keys()]).toEqual([ifindex]);
  });

  it("a neighbour entry with our MAC goes, of a guest in standby, too", async () => {
    const network = await openForTest();
    const { ip, mac } = await network.createAllocation({ ...REQUEST, mac: "02:00:00:00:00:77" });
    await network.standbyAllocation("vm-1");
    const ifindex = indexOf(BRIDGE);
    const left = { op: "neighbor.set", ifindex, ip: ipNumber(ip), mac: macNumber(mac) } as const;
    const free = { ip: ipNumber("10.100.9.9"), mac: macNumber("02:00:0a:64:09:09") };
    tellKernel(left, { ...left, ...free });
    expect(actionsOf(await network.reconcile()).sort()).toEqual(
      [`delete_neighbor ${ip}`, "delete_neighbor 10.100.9.9"].sort(),
    );
    expect(neighborsOf(BRIDGE)).toEqual([]);
    await network.recreateAllocation("vm-1");
    expect(await network.reconcile()).toMatchObject({ actions: [] });
  });

  it("a TAP with an armed lease stays, unless a list does not have its guest", async () => {
    const network = await openForTest();
    const { ifindex } = await network.createAllocation(REQUEST);
    const stray = makeTap("stray", { alias: SLOT_ALIAS, master: BRIDGE });
    LeaseMap.in(SHAPER).copy(ifindex, stray);
    expect(await network.reconcile()).toMatchObject({ actions: [] });
    expect(await network.reconcile({ keep: ["vm-1"] })).toMatchObject({ actions: [] });
    LeaseMap.in(SHAPER).change(stray, (lease) => lease.write("vm-9", 64));
    const old = { keep: ["vm-1"], minAgeMs: 3_600_000 };
    expect(await network.reconcile(old)).toMatchObject({ actions: [] });
    expect(actionsOf(await network.reconcile({ keep: ["vm-1"] }))).toEqual(["delete_tap stray"]);
    expect([...readLeases(SHAPER).keys()]).toEqual([ifindex]);
  });

  it("a TAP that a failed deletion left marked goes", async () => {
    const network = await openForTest(testOptions());
    const ifindex = makeTap("stray", { master: BRIDGE, alias: SLOT_ALIAS });
    tellKernel({ op: "link.set", ifindex, group: DELETION_GROUP + indexOf(BRIDGE) });
    expect(actionsOf(await network.reconcile())).toEqual(["delete_tap stray"]);
    expect(linkNamed("stray")).toBeUndefined();
  });

  it("a TAP whose age nobody knows is as old as our knowledge of it", async () => {
    const network = await openForTest();
    makeTap("stray", { alias: SLOT_ALIAS, master: BRIDGE });
    expect(await network.reconcile({ minAgeMs: 3_600_000 })).toMatchObject({ actions: [] });
    expect(actionsOf(await network.reconcile({ minAgeMs: 0 }))).toEqual(["delete_tap stray"]);
  });
});

describe("what a failed undo left", () => {
  it("goes, and its identity can be used again", async () => {
    const { network, faults } = await openWithFaults();
    const before = readNetworkLines();
    // The 14th operation sets the TAP up; after it come the three of the undo.
    faults.refuse({ errno: ERRNO.ENOMEM, at: 14, times: ALWAYS });
    const failing = network.createAllocation({ ...REQUEST, ip: IP });
    await expect(failing).rejects.toMatchObject({ code: "ERR_FORKNET_ROLLBACK" });
    faults.none();
    expect(await network.reconcile({ dryRun: true })).toMatchObject({
      actions: [
        { action: "delete_tap", subject: "fk0a64004d" },
        { action: "delete_class", subject: "1:10" },
        { action: "delete_neighbor", subject: IP },
      ],
    });
    expect(actionsOf(await network.reconcile())).toEqual([
      "delete_tap fk0a64004d",
      "delete_class 1:10",
      `delete_neighbor ${IP}`,
      "free_identity fk0a64004d",
    ]);
    expect(readNetworkLines()).toEqual(before);
    expect(await network.reconcile()).toMatchObject({ actions: [], remaining: 0 });
    const guest = await network.createAllocation({ ...REQUEST, ip: IP });
    expect(guest).toMatchObject({ ip: IP, classId: "1:10", tap: "fk0a64004d" });
  });

  it("keeps its identity out of use while it cannot be deleted", async () => {
    const { network, faults } = await openWithFaults();
    makeTap("stray", { alias: SLOT_ALIAS, master: BRIDGE });
    faults.refuse({ errno: ERRNO.EPERM, at: 1, times: ALWAYS, match: "RTM_DELLINK" });
    const { actions } = await network.reconcile();
    expect(actions).toMatchObject([
      { action: "delete_tap", error: { code: "ERR_FORKNET_PERMISSION" } },
    ]);
    const wish = { ...REQUEST, ip: "10.100.9.9" };
    await expect(network.createAllocation(wish)).rejects.toMatchObject({
      code: "ERR_FORKNET_ADDRESS_IN_USE",
    });
    faults.none();
    expect(actionsOf(await network.reconcile())).toEqual([
      "delete_tap stray",
      "free_identity stray",
    ]);
    expect(linkNamed("stray")).toBeUndefined();
    expect(await network.createAllocation(wish)).toMatchObject({ ip: "10.100.9.9" });
  });
});
