// Everything that can go wrong behind the network's back, one by one: verify() tells it and changes
// nothing, reconcile() puts it right and says so, and then verify() has nothing to tell.

import diagnostics from "node:diagnostics_channel";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import { GUEST_DAMAGES, NETWORK_DAMAGES } from "../support/damages.js";
import { compareKernelStates, type KernelState } from "../support/kernel-state.js";
import {
  deleteLink,
  indexOf,
  readLeases,
  tellKernel,
  warmSlots,
  withNetlink,
} from "../support/kernel-view.js";
import { LeaseMap } from "../support/lease-map.js";
import {
  BRIDGE,
  expectRefused,
  openForTest,
  poolFilled,
  SHAPER,
  testOptions,
} from "../support/network.js";
import { readEverything } from "../support/network-state.js";

const INGRESS = 0xfffffff2;
const HTB_ROOT = 0x10000;
const GUEST = {
  instanceId: "vm-1",
  instanceName: "alpha",
  download: "100mbit",
  upload: { rate: "20mbit", ceil: "70mbit" },
};

function heard(name: string): unknown[] {
  const messages: unknown[] = [];
  const listen = (message: unknown) => messages.push(message);
  diagnostics.subscribe(name, listen);
  onTestFinished(() => void diagnostics.unsubscribe(name, listen));
  return messages;
}

/** Two guests, so that one can be harmed and the other looked after. */
async function openWithGuests(): Promise<{ network: Network; guests: [Allocation, Allocation] }> {
  const network = await openForTest();
  const first = await network.createAllocation(GUEST);
  const other = { instanceId: "vm-2", instanceName: "beta", download: "7mbit" };
  return { network, guests: [first, await network.createAllocation(other)] };
}

async function whatDiffers(network: Network, instanceId?: string): Promise<string[]> {
  return (await network.verify(instanceId)).differences.map(({ what }) => what);
}

async function expectMended(network: Network, before: KernelState, what: string[]): Promise<void> {
  const events = heard("forknet:repaired");
  const damaged = readEverything(network);
  const { differences } = await network.verify();
  expect(differences.map((one) => one.what)).toEqual(what);
  const plan = await network.reconcile({ dryRun: true });
  expect(readEverything(network)).toEqual(damaged);
  const report = await network.reconcile();
  expect(report.actions).toEqual(plan.actions);
  expect(report.actions.filter(({ error }) => error)).toEqual([]);
  expect(report.actions.filter(({ action }) => action === "repair")).toHaveLength(what.length);
  expect(events).toEqual(differences.map((one) => ({ bridge: BRIDGE, ...one })));
  expect(await network.verify()).toMatchObject({ differences: [] });
  expect(compareKernelStates(before, readEverything(network))).toEqual([]);
  expect(await network.reconcile()).toMatchObject({ actions: [], remaining: 0 });
}

describe("verify and reconcile", () => {
  it("have nothing to say of a network that is as it should be", async () => {
    const { network } = await openWithGuests();
    expect(await network.verify()).toEqual({
      compared: 2,
      differences: [],
      warnings: [],
      unclassified: 0,
      directPackets: 0,
    });
  });

  it.each(GUEST_DAMAGES)("at a guest: $name", async ({ what, messages }) => {
    const { network, guests } = await openWithGuests();
    const before = readEverything(network);
    tellKernel(...messages(...guests));
    expect(await whatDiffers(network, "vm-1")).toEqual(what);
    expect(await whatDiffers(network, "vm-2")).toEqual([]);
    await expectMended(network, before, what);
  });

  it.each(NETWORK_DAMAGES)("at the network: $name", async ({ what, messages }) => {
    const { network } = await openWithGuests();
    const before = readEverything(network);
    tellKernel(...messages());
    await expectMended(network, before, what);
  });

  it("at a guest: the lease is gone, or another", async () => {
    const { network, guests } = await openWithGuests();
    const before = readEverything(network);
    const map = LeaseMap.in(SHAPER);
    map.delete(guests[0].ifindex);
    await expectMended(network, before, ["lease"]);
    map.change(guests[0].ifindex, (lease) => lease.writeUInt16LE(0x77, 14));
    const { differences } = await network.verify("vm-1");
    expect(differences).toEqual([
      { subject: "vm-1", what: "lease", expected: "classMinor 16", found: "classMinor 119" },
    ]);
    await expectMended(network, before, ["lease"]);
    expect(readLeases(SHAPER).get(guests[0].ifindex)?.instanceId).toBe("vm-1");
  });

  it("a guest whose TAP is gone differs in that, and is released", async () => {
    const { network, guests } = await openWithGuests();
    deleteLink(guests[0].tap);
    expect((await network.verify("vm-1")).differences).toEqual([
      { subject: "vm-1", what: "tap", expected: guests[0].tap, found: "nothing" },
    ]);
    await network.reconcile();
    await expectRefused(() => network.verify("vm-1"), "NOT_FOUND");
    expect(await whatDiffers(network)).toEqual([]);
  });

  it("a warm slot that is unfit goes, and another comes", async () => {
    const network = await openForTest(testOptions({ pool: { size: 2 } }));
    await poolFilled(network, 2);
    const slots = warmSlots(BRIDGE);
    const [first, second] = slots.map(indexOf) as [number, number];
    tellKernel({ op: "filter.delete", ifindex: first, parent: INGRESS, priority: 1 });
    tellKernel({ op: "class.delete", ifindex: indexOf(SHAPER), handle: HTB_ROOT | 0x11 });
    expect(await whatDiffers(network)).toEqual(["guard", "class", "leaf"]);
    const { actions } = await network.reconcile();
    expect(actions).toMatchObject(slots.map((subject) => ({ action: "delete_tap", subject })));
    await poolFilled(network, 2);
    for (const ifindex of warmSlots(BRIDGE).map(indexOf))
      expect([first, second]).not.toContain(ifindex);
    await network.createAllocation(GUEST);
    await network.getAllocation("vm-1")?.shaped;
    expect(await whatDiffers(network)).toEqual([]);
  });

  it("a free class that is gone is added by the next guest", async () => {
    const { network } = await openWithGuests();
    await network.releaseAllocation("vm-2");
    tellKernel({ op: "class.delete", ifindex: indexOf(SHAPER), handle: HTB_ROOT | 0x11 });
    const { actions } = await network.reconcile();
    expect(actions).toMatchObject([{ action: "forget_class", subject: "1:11" }]);
    const again = await network.createAllocation({ instanceId: "vm-3", instanceName: "gamma" });
    expect(again.classId).toBe("1:11");
    expect(await whatDiffers(network)).toEqual([]);
  });

  it("verify refuses who is not there, and does not look at who is in standby", async () => {
    const { network } = await openWithGuests();
    await network.standbyAllocation("vm-1");
    expect(await network.verify()).toMatchObject({ compared: 1, differences: [] });
    expect(await network.verify("vm-1")).toMatchObject({ compared: 0, differences: [] });
    await expectRefused(() => network.verify("vm-9"), "NOT_FOUND");
    await expectRefused(() => network.verify("vm 1"), "CONFIG");
  });
});

describe("of a group, verify and reconcile", () => {
  async function openWithGroup() {
    const network = await openForTest();
    await network.setGroupLimits("team-a", { upload: { rate: "30mbit", ceil: "90mbit" } });
    const guest = await network.createAllocation({ ...GUEST, group: "team-a" });
    const [{ classId } = { classId: "" }] = network.listGroups();
    const minors = [classId, guest.classId].map((id) => Number.parseInt(id.slice(2), 16));
    const [group, own] = minors.map((minor) => HTB_ROOT | minor) as [number, number];
    return { network, group, own, shaper: indexOf(SHAPER), before: readEverything(network) };
  }
  const rates = { rate: 1e9, ceil: 1e9, burstBytes: 1e6, cburstBytes: 1e6, quantumBytes: 60_000 };

  it("find other limits of its class", async () => {
    const { network, group, shaper, before } = await openWithGroup();
    tellKernel({
      op: "class.htb",
      verb: "change",
      ifindex: shaper,
      parent: HTB_ROOT | 1,
      handle: group,
      ...rates,
    });
    expect((await network.verify()).differences).toMatchObject([
      { subject: SHAPER, what: "group team-a" },
    ]);
    await expectMended(network, before, ["group team-a"]);
    // The limits of classes without a lease are not in what is compared.
    const classes = withNetlink((netlink) => netlink.classes(shaper));
    expect(classes.find(({ handle }) => handle === group)).toMatchObject({
      rate: 30e6 / 8,
      ceil: 90e6 / 8,
    });
  });

  it("find it deleted, with the class under it", async () => {
    const { network, group, own, shaper, before } = await openWithGroup();
    tellKernel(
      { op: "class.delete", ifindex: shaper, handle: own },
      { op: "class.delete", ifindex: shaper, handle: group },
    );
    await expectMended(network, before, ["group team-a", "class", "leaf"]);
  });

  it("find a guest's class outside it", async () => {
    const { network, own, shaper, before } = await openWithGroup();
    const add = { op: "class.htb", verb: "add", ifindex: shaper, handle: own, ...rates } as const;
    tellKernel(
      { op: "class.delete", ifindex: shaper, handle: own },
      { ...add, parent: HTB_ROOT | 1 },
    );
    expect((await network.verify()).differences[0]).toMatchObject({
      subject: "vm-1",
      what: "class",
      expected: expect.stringMatching(/^under 1:/) as string,
      found: "under 1:1",
    });
    await expectMended(network, before, ["class", "leaf"]);
  });
});
