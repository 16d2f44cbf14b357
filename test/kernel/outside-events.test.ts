// What others change behind the network's back is told within a second, with what is not as it
// should be because of it; what the network does itself is not taken for it.

import { describe, expect, it } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import { GUEST_DAMAGES, NETWORK_DAMAGES } from "../support/damages.js";
import { published } from "../support/events.js";
import { ERRNO, openWithFaults } from "../support/faults.js";
import {
  deleteLink,
  indexOf,
  makeForeignLink,
  tellKernel,
  warmSlots,
} from "../support/kernel-view.js";
import { BRIDGE, openForTest, poolFilled, SHAPER, testOptions } from "../support/network.js";
import { patiently } from "../support/patience.js";
import { REQUEST } from "../support/requests.js";

const GUEST = { ...REQUEST, upload: { rate: "20mbit", ceil: "70mbit" } };
/** Within a second, on a machine that is not busy with something else. */
const SOON = { timeout: patiently(5000) };
const OTHER = { instanceId: "vm-2", instanceName: "beta", download: "7mbit" };

async function openWithGuests(): Promise<{ network: Network; guests: [Allocation, Allocation] }> {
  const network = await openForTest();
  const first = await network.createAllocation(GUEST);
  return { network, guests: [first, await network.createAllocation(OTHER)] };
}

/** Resolves when the monitor has read everything that the kernel told until now. */
async function readUntilNow(network: Network): Promise<void> {
  const outside = published("forknet:changed-outside");
  const [{ tap }] = network.listAllocations() as [Allocation];
  const ifindex = indexOf(tap);
  tellKernel({ op: "link.set", ifindex, up: false }, { op: "link.set", ifindex, up: true });
  tellKernel({ op: "qdisc.delete", ifindex, parent: 0xffffffff });
  await expect.poll(() => outside.length, SOON).toBeGreaterThan(0);
}

describe("a change from outside is told, and looked at", () => {
  it.each(GUEST_DAMAGES)("at a guest: $name", async ({ what, messages }) => {
    const { guests } = await openWithGuests();
    const outside = published("forknet:changed-outside");
    const drift = published("forknet:drift");
    tellKernel(...messages(...guests));
    await expect.poll(() => drift.map((one) => one.what), SOON).toEqual(what);
    expect(drift.map(({ bridge, subject }) => [bridge, subject])).toEqual(
      what.map(() => [BRIDGE, "vm-1"]),
    );
    expect(new Set(outside.map(({ subject }) => subject))).toEqual(new Set(["vm-1"]));
  });

  it.each(NETWORK_DAMAGES.filter(({ isSilent }) => !isSilent))(
    "at the network: $name",
    async ({ messages }) => {
      const { network } = await openWithGuests();
      const outside = published("forknet:changed-outside");
      const drift = published("forknet:drift");
      tellKernel(...messages());
      await expect.poll(() => drift.length, SOON).toBeGreaterThan(0);
      const expected = (await network.verify()).differences.map((one) => ({
        bridge: BRIDGE,
        ...one,
      }));
      const device = drift.filter(({ subject }) => subject === BRIDGE || subject === SHAPER);
      expect(device.length).toBeGreaterThan(0);
      expect(expected).toEqual(expect.arrayContaining(drift));
      expect(outside.length).toBeGreaterThan(0);
    },
  );

  it("a guest's TAP is deleted", async () => {
    const { guests } = await openWithGuests();
    const [{ tap }] = guests;
    const outside = published("forknet:changed-outside");
    const drift = published("forknet:drift");
    deleteLink(tap);
    const gone = { bridge: BRIDGE, subject: "vm-1", what: "tap", expected: tap, found: "nothing" };
    await expect.poll(() => drift, SOON).toEqual([gone]);
    const told = { bridge: BRIDGE, subject: "vm-1", object: "link", removed: true };
    expect(outside).toContainEqual(told);
  });

  it("a warm slot's TAP is deleted", async () => {
    const network = await openForTest(testOptions({ pool: { size: 1 } }));
    await poolFilled(network, 1);
    const [tap] = warmSlots(BRIDGE) as [string];
    const outside = published("forknet:changed-outside");
    deleteLink(tap);
    const told = { bridge: BRIDGE, subject: tap, object: "link", removed: true };
    await expect.poll(() => outside, SOON).toContainEqual(told);
  });

  it("the bridge and the shaper are deleted", async () => {
    await openWithGuests();
    const drift = published("forknet:drift");
    deleteLink(SHAPER);
    deleteLink(BRIDGE);
    await expect
      .poll(() => new Set(drift.map(({ subject }) => subject)), SOON)
      .toEqual(new Set([BRIDGE, SHAPER]));
  });

  it("and reconcile, which repairs it, says so and causes no look of its own", async () => {
    const { network, guests } = await openWithGuests();
    const drift = published("forknet:drift");
    const repaired = published("forknet:repaired");
    tellKernel({ op: "qdisc.delete", ifindex: guests[0].ifindex, parent: 0xffffffff });
    await expect.poll(() => drift.length, SOON).toBe(1);
    const outside = published("forknet:changed-outside");
    await network.reconcile();
    expect(repaired).toMatchObject([{ subject: "vm-1", what: "tbf" }]);
    await network.releaseAllocation("vm-1");
    await readUntilNow(network);
    expect(outside.filter(({ subject }) => subject === "vm-1")).toEqual([]);
  });
});

it("takes nothing that the network does for a change from outside", async () => {
  const network = await openForTest(testOptions({ pool: { size: 4 } }));
  await poolFilled(network, 4);
  const outside = published("forknet:changed-outside");
  const drift = published("forknet:drift");
  const forks = Array.from({ length: 40 }, (_, i) =>
    network.createAllocation({ ...GUEST, instanceId: `${i}`, instanceName: `n${i}` }),
  );
  for (const { shaped } of await Promise.all(forks)) await shaped;
  for (let i = 0; i < 40; i += 2) {
    await network.updateLimits(`${i}`, { download: "3mbit", upload: { rate: "1mbit" } });
    await network.releaseAllocation(`${i}`);
  }
  await network.standbyAllocation("1");
  await network.recreateAllocation("1", { tapName: "another" });
  await network.standbyAllocation("3");
  await network.reconcile({ keep: ["1", "5", "7"] });
  // Neither is what others do at their own links.
  makeForeignLink("foreign0");
  deleteLink("foreign0");
  expect(outside).toEqual([]);
  await readUntilNow(network);
  expect(new Set(outside.map(({ subject }) => subject)).size).toBe(1);
  await expect.poll(() => drift.length, SOON).toBeGreaterThan(0);
  expect(new Set(drift.map(({ what }) => what))).toEqual(new Set(["tbf"]));
});

/** What an agent does again and again, with one identity. */
const LIVES = {
  "standby and restore": async (network: Network) => {
    await network.standbyAllocation("vm-1");
    await network.recreateAllocation("vm-1");
  },
  "release and another fork": async (network: Network, { ip, mac, tap }: PlainGuest) => {
    await network.releaseAllocation("vm-1");
    await network.createAllocation({ ...GUEST, ip, mac, tapName: tap });
  },
};

interface PlainGuest {
  ip: string;
  mac: string;
  tap: string;
}

describe.each(Object.entries(LIVES))("%s is no change from outside", (_, relive) => {
  it.each([0, 4])(
    "with %i warm slots, however often it is done between two looks",
    async (size) => {
      const network = await openForTest(testOptions({ pool: { size } }));
      const { ip, mac, tap } = await network.createAllocation(GUEST);
      // Not the guest's: what is done to it tells how far the monitor is.
      await network.createAllocation(OTHER);
      await poolFilled(network, size);
      const outside = published("forknet:changed-outside");
      for (let round = 0; round < 8; round++) {
        for (let life = 0; life < 1 + (round % 3); life++) await relive(network, { ip, mac, tap });
        await network.getAllocation("vm-1")?.shaped;
        await changeOther(network, outside);
      }
      expect(outside.filter(({ subject }) => subject !== "vm-2")).toEqual([]);
    },
  );
});

it("a standby that is refused, and undone, is no change from outside", async () => {
  const { network, faults } = await openWithFaults();
  await network.createAllocation(GUEST);
  await network.createAllocation(OTHER);
  const outside = published("forknet:changed-outside");
  faults.refuse({ errno: ERRNO.EPERM, at: 1, times: 1_000_000, match: "RTM_DELLINK" });
  await expect(network.standbyAllocation("vm-1")).rejects.toThrow("RTM_DELLINK");
  faults.none();
  await changeOther(network, outside);
  expect(outside.filter(({ subject }) => subject !== "vm-2")).toEqual([]);
});

/** Resolves when the monitor has read everything that the kernel told until now. */
async function changeOther(network: Network, outside: readonly unknown[]): Promise<void> {
  const { ifindex } = network.getAllocation("vm-2") as Allocation;
  const before = outside.length;
  tellKernel({ op: "qdisc.delete", ifindex, parent: 0xffffffff });
  await expect.poll(() => outside.length, SOON).toBeGreaterThan(before);
  await network.reconcile();
}

it("looks at everything when the kernel told more than could be taken in", async () => {
  const { guests } = await openWithGuests();
  const overrun = published("forknet:overrun");
  const drift = published("forknet:drift");
  tellKernel({ op: "qdisc.delete", ifindex: guests[1].ifindex, parent: 0xffffffff });
  // In one turn of the event loop nobody reads.
  const ifindex = makeForeignLink("noisy0");
  const noise = Array.from({ length: 1000 }, (_, i) => [
    { op: "link.set" as const, ifindex, alias: `a${i}` },
  ]).flat();
  for (let i = 0; i < 20; i++) tellKernel(...noise);
  await expect.poll(() => overrun, SOON).toEqual([{ bridge: BRIDGE }]);
  await expect.poll(() => drift, SOON).toMatchObject([{ subject: "vm-2", what: "tbf" }]);
  deleteLink("noisy0");
});
