// A guest's TAP opens for its owner and for nobody else, whatever other processes could open before:
// by processes of other uids that try, and by frames that do not reach them.

import { createSocket } from "node:dgram";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, NetworkOptions } from "../../dist/index.js";
import { loadAddon } from "../../src/kernel/addon.js";
import { published } from "../support/events.js";
import { ERRNO, openWithFaults } from "../support/faults.js";
import { ARP_OPERATION, arpFrame, parseFrame } from "../support/frames.js";
import { brokenInvariants } from "../support/invariants.js";
import { indexOf, linkNamed, warmSlots } from "../support/kernel-view.js";
import { BRIDGE, openForTest, poolFilled, testOptions } from "../support/network.js";
import { patiently } from "../support/patience.js";
import { TapOpener } from "../support/tap-opener.js";

/** Of all VMMs that have none of their own. */
const SHARED = 70_001;
const OWN = 70_002;
const GROUP = 70_003;
const REQUEST = { instanceId: "vm-1", instanceName: "alpha", upload: "20mbit" };
const GATEWAY = "10.100.0.1";
const SOON = { timeout: patiently(10_000) };

const idsOf = (tap: string) => {
  const { owner, group } = linkNamed(tap)?.tun ?? {};
  return { owner, group };
};

async function openFilled(size: number, tap?: NetworkOptions["tap"]) {
  const network = await openForTest(testOptions({ pool: { size }, ...(tap ? { tap } : {}) }));
  await poolFilled(network, size);
  return network;
}

/** Has what the host sends to the guest arrive at its owner's process. */
async function expectReached(
  vmm: TapOpener,
  { ip, mac }: Allocation,
  isStranger: () => Promise<void>,
) {
  const host = createSocket("udp4");
  onTestFinished(() => void host.close());
  await expect
    .poll(async () => {
      host.send("for the guest", 9, ip);
      await isStranger();
      return (await vmm.read()).some((frame) => frame.includes("for the guest"));
    }, SOON)
    .toBe(true);
  await vmm.send(
    arpFrame({ operation: ARP_OPERATION.request, senderMac: mac, senderIp: ip, targetIp: GATEWAY }),
  );
  await expect
    .poll(async () => (await vmm.read()).map((frame) => parseFrame(frame)), SOON)
    .toContainEqual(
      expect.objectContaining({ arp: expect.objectContaining({ senderIp: GATEWAY }) as object }),
    );
}

describe("a guest with an owner of its own", () => {
  it("gets a TAP that the network's uid cannot open, though that holds every warm slot", async () => {
    const network = await openFilled(4, { owner: SHARED });
    const [thief, stranger, vmm] = await Promise.all([
      TapOpener.as({ uid: SHARED }),
      TapOpener.as({ uid: OWN + 9 }),
      TapOpener.as({ uid: OWN }),
    ]);
    const slots = warmSlots(BRIDGE);
    for (const slot of slots) await thief.open(slot);
    const allocation = await network.createAllocation({ ...REQUEST, owner: OWN });
    expect(allocation).toMatchObject({ owner: { uid: OWN }, shaping: "shaped" });
    expect(slots).not.toContain(allocation.tap);
    expect(idsOf(allocation.tap)).toEqual({ owner: OWN, group: undefined });
    expect(await thief.tries(allocation.tap)).toBe("EPERM");
    expect(await stranger.tries(allocation.tap)).toBe("EPERM");
    await vmm.open(allocation.tap);
    const thieves = await TapOpener.as({ uid: SHARED });
    await expectReached(vmm, allocation, async () => {
      expect(await thieves.tries(allocation.tap)).toBe("EPERM");
    });
    expect((await network.verify("vm-1")).differences).toEqual([]);
  });

  it("takes a warm slot over that was the agent's own, with its address and name", async () => {
    const network = await openFilled(3);
    const vmm = await TapOpener.as({ uid: OWN, gid: GROUP });
    const slots = warmSlots(BRIDGE).map((name) => [name, indexOf(name)]);
    expect(await vmm.tries(slots[0]?.[0] as string)).toBe("EPERM");
    const whole = await network.createAllocation({ ...REQUEST, owner: OWN });
    const named = await network.createAllocation({
      instanceId: "vm-2",
      instanceName: "beta",
      tapName: "tap-of-mine",
      ip: "10.100.7.7",
      owner: { uid: OWN, gid: GROUP },
    });
    expect(slots).toContainEqual([whole.tap, whole.ifindex]);
    expect(slots.map(([, ifindex]) => ifindex)).toContain(named.ifindex);
    expect(named).toMatchObject({ tap: "tap-of-mine", ip: "10.100.7.7" });
    expect(idsOf(whole.tap)).toEqual({ owner: OWN, group: undefined });
    expect(idsOf(named.tap)).toEqual({ owner: OWN, group: GROUP });
    expect((await network.verify()).differences).toEqual([]);
    await vmm.open(whole.tap);
    await vmm.open(named.tap);
    await expectReached(vmm, named, async () => {});
  });

  it.each([false, true])(
    "gets no slot that a process has open (several queues: %o)",
    async (multiQueue) => {
      const network = await openFilled(2, { multiQueue });
      const told = published("forknet:slot-opened");
      const vmm = await TapOpener.as({ uid: OWN });
      const addon = loadAddon();
      const slots = warmSlots(BRIDGE);
      const held = slots.map((name) => addon.openTap({ name, vnetHdr: true, multiQueue }));
      onTestFinished(() => {
        for (const { fd } of held) addon.closeFd(fd);
      });
      // In the turn in which they were opened: nothing has been heard of it.
      const forked = network.createAllocation({ ...REQUEST, owner: OWN });
      const allocation = await forked;
      expect(held.map(({ ifindex }) => ifindex)).not.toContain(allocation.ifindex);
      expect(told).toContainEqual({ bridge: BRIDGE, tap: expect.any(String) as string });
      await vmm.open(allocation.tap, { multiQueue });
      expect(await vmm.tries(allocation.tap, { multiQueue })).toBe(multiQueue ? "opened" : "EBUSY");
    },
  );

  it.each(["dump link", "TUNSETIFF", "TUNSETGROUP", "TUNSETOWNER"])(
    "gets a TAP made for it when the kernel refuses to give a slot away: %s",
    async (match) => {
      const { network, faults } = await openWithFaults(testOptions({ pool: { size: 1 } }));
      await poolFilled(network, 1);
      const [slot] = warmSlots(BRIDGE) as [string];
      const ifindex = indexOf(slot);
      faults.refuse({ errno: ERRNO.ENOMEM, at: 1, match });
      const owner = { uid: OWN, gid: GROUP };
      const allocation = await network.createAllocation({ ...REQUEST, owner });
      expect(faults.failed).toBe(1);
      faults.none();
      expect(allocation.ifindex).not.toBe(ifindex);
      expect(idsOf(allocation.tap)).toEqual({ owner: OWN, group: GROUP });
      await poolFilled(network, 1);
      expect(brokenInvariants(network, new Map(), 1)).toEqual([]);
    },
  );

  it("can have a group for its owner, and needs both where both are set", async () => {
    const network = await openFilled(2);
    const ofGroup = await TapOpener.as({ uid: OWN, gid: GROUP });
    const inGroup = await TapOpener.as({ uid: SHARED, groups: [GROUP] });
    const outside = await TapOpener.as({ uid: OWN });
    const grouped = await network.createAllocation({ ...REQUEST, owner: { gid: GROUP } });
    const both = await network.createAllocation({
      instanceId: "vm-2",
      instanceName: "beta",
      owner: { uid: OWN, gid: GROUP },
    });
    expect(idsOf(grouped.tap)).toEqual({ owner: undefined, group: GROUP });
    const tries = async (tap: string) => {
      const answers = [];
      for (const one of [ofGroup, inGroup, outside]) answers.push(await one.tries(tap));
      return answers;
    };
    expect(await tries(grouped.tap)).toEqual(["opened", "opened", "EPERM"]);
    expect(await tries(both.tap)).toEqual(["opened", "EPERM", "EPERM"]);
    expect((await network.verify()).differences).toEqual([]);
  });
});

describe("a network's own TAPs", () => {
  it("open for any user of the group where only a group is given", async () => {
    const network = await openFilled(1, { group: GROUP });
    const { tap } = await network.createAllocation(REQUEST);
    const inGroup = await TapOpener.as({ uid: OWN, groups: [GROUP] });
    const outside = await TapOpener.as({ uid: OWN });
    expect(idsOf(tap)).toEqual({ owner: undefined, group: GROUP });
    expect(await inGroup.tries(tap)).toBe("opened");
    expect(await outside.tries(tap)).toBe("EPERM");
    expect((await network.verify()).differences).toEqual([]);
  });

  it("open for the one uid in the one group where both are given", async () => {
    const network = await openFilled(1, { owner: OWN, group: GROUP });
    const { tap } = await network.createAllocation(REQUEST);
    expect(await (await TapOpener.as({ uid: OWN })).tries(tap)).toBe("EPERM");
    expect(await (await TapOpener.as({ uid: OWN, gid: GROUP })).tries(tap)).toBe("opened");
  });
});
