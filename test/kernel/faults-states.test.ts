// What a guest is called while the kernel refuses something: "active" only when it is armed, and
// "releasing" only when it is not. What was left half way is told, and put right by reconcile.

import { renameSync } from "node:fs";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { Allocation, ForknetError, Network } from "../../dist/index.js";
import {
  ERRNO,
  type Faults,
  openWithFaults,
  refuseDisarm,
  refuseLease,
} from "../support/faults.js";
import { brokenInvariants } from "../support/invariants.js";
import { deleteLink, linkNamed, readLeases, tbfOf, tellKernel } from "../support/kernel-view.js";
import { openForTest, SHAPER, testOptions } from "../support/network.js";
import { patiently } from "../support/patience.js";
import { REQUEST } from "../support/requests.js";
import { forkWarm, openHeld } from "../support/traffic-network.js";

const ROOT = 0xffff_ffff;
const OTHER = { instanceId: "vm-2", instanceName: "beta" };
const KERNEL = { code: "ERR_FORKNET_KERNEL" };
const ROLLBACK = { code: "ERR_FORKNET_ROLLBACK" };

// The spies of refuseLease and refuseDisarm.
afterEach(() => void vi.restoreAllMocks());

/** With no turn of the event loop, so that no answer of the worker is taken. */
async function untilFailed(faults: Faults, operations: number): Promise<void> {
  for (let i = 0; i < 100; i++) await Promise.resolve();
  const deadline = performance.now() + patiently(5000);
  while (faults.failed < operations && performance.now() < deadline);
  expect(faults.failed).toBeGreaterThanOrEqual(operations);
}

const isArmed = ({ ifindex }: Allocation) => readLeases(SHAPER).has(ifindex);

describe("a standby that the kernel refuses", () => {
  /** The TAP stays, and the lease that was to bring the guest back is refused. */
  async function cutOff(faults: Faults, network: Network): Promise<Allocation> {
    const guest = await network.createAllocation(REQUEST);
    const { tap } = guest;
    faults.refuse({ errno: ERRNO.EBUSY, at: 1, times: 1_000_000, match: "RTM_DELLINK" });
    refuseLease(ERRNO.ENOMEM);
    await expect(network.standbyAllocation("vm-1")).rejects.toMatchObject({
      ...ROLLBACK,
      errnoName: "EBUSY",
      leftBehind: [`${tap} without its lease`],
    });
    faults.none();
    expect(guest).toMatchObject({ state: "releasing", tap });
    expect(isArmed(guest)).toBe(false);
    return guest;
  }

  it("leaves a guest that cannot be armed again cut off and told, until reconcile", async () => {
    const { network, faults } = await openWithFaults();
    const guest = await cutOff(faults, network);
    const told = { subject: "vm-1", what: "lease", expected: "vm-1", found: "nothing" };
    expect((await network.verify()).differences).toEqual([told]);
    expect((await network.reconcile()).actions).toMatchObject([
      { action: "repair", subject: "vm-1", reason: "lease is nothing, not vm-1" },
    ]);
    expect(guest).toMatchObject({ state: "active", shaping: "shaped" });
    expect(brokenInvariants(network)).toEqual([]);
    expect((await network.verify()).differences).toEqual([]);
    await network.standbyAllocation("vm-1");
    expect(guest.state).toBe("standby");
  });

  it("goes on when it is asked for again", async () => {
    const { network, faults } = await openWithFaults();
    const guest = await cutOff(faults, network);
    await network.standbyAllocation("vm-1");
    expect(guest).toMatchObject({ state: "standby", tap: "" });
    await network.recreateAllocation("vm-1");
    expect(brokenInvariants(network)).toEqual([]);
  });

  it("leaves a guest that can be released", async () => {
    const { network, faults } = await openWithFaults();
    await cutOff(faults, network);
    await network.releaseAllocation("vm-1");
    expect(network.listAllocations()).toEqual([]);
    expect(brokenInvariants(network)).toEqual([]);
  });

  it("is over when the TAP goes: the guest keeps its identity", async () => {
    const { network, faults } = await openWithFaults();
    const guest = await cutOff(faults, network);
    const { ip, mac } = guest;
    deleteLink(guest.tap);
    await network.reconcile();
    expect(guest).toMatchObject({ state: "standby", ip, mac });
    expect(await network.recreateAllocation("vm-1")).toMatchObject({ state: "active", ip, mac });
    expect(brokenInvariants(network)).toEqual([]);
  });

  it("leaves a record for the next process", async () => {
    const options = testOptions();
    const { network, faults } = await openWithFaults(options);
    const { ip, tap } = await cutOff(faults, network);
    await network.close();
    const next = await openForTest(options);
    expect(next.listAllocations()).toMatchObject([{ instanceId: "vm-1", state: "standby", ip }]);
    await expect.poll(() => linkNamed(tap)).toBeUndefined();
    await next.recreateAllocation("vm-1");
    expect(brokenInvariants(next)).toEqual([]);
  });

  it("does not call a guest active whose TAP may go with the next deletion", async () => {
    const { network, faults } = await openWithFaults();
    const guest = await network.createAllocation(REQUEST);
    const { tap } = guest;
    await network.createAllocation(OTHER);
    // The third is the deletion of the group, the fifth what takes the TAP out of it.
    faults.refuse({ errno: ERRNO.EPERM, at: 3, times: 1_000_000 });
    await expect(network.standbyAllocation("vm-1")).rejects.toMatchObject(ROLLBACK);
    faults.none();
    expect(guest.state).toBe("releasing");
    await network.releaseAllocation("vm-2");
    expect(linkNamed(tap)).toBeUndefined();
    await network.reconcile();
    expect(guest.state).toBe("standby");
    await network.recreateAllocation("vm-1");
    expect(brokenInvariants(network)).toEqual([]);
  });

  it("changes nothing when the guest cannot be disarmed", async () => {
    const options = testOptions();
    const network = await openForTest(options);
    const guest = await network.createAllocation(REQUEST);
    refuseDisarm(ERRNO.ENOMEM);
    await expect(network.standbyAllocation("vm-1")).rejects.toMatchObject(KERNEL);
    expect(guest.state).toBe("active");
    expect(brokenInvariants(network)).toEqual([]);
    // No record outlives the guest.
    await network.close();
    deleteLink(guest.tap);
    expect((await openForTest(options)).listAllocations()).toEqual([]);
  });
});

it("a release of a guest that cannot be disarmed leaves it active", async () => {
  const network = await openForTest();
  const guest = await network.createAllocation(REQUEST);
  refuseDisarm(ERRNO.ENOMEM);
  await expect(network.releaseAllocation("vm-1")).rejects.toMatchObject(KERNEL);
  expect(guest.state).toBe("active");
  expect(brokenInvariants(network)).toEqual([]);
  await network.releaseAllocation("vm-1");
  expect(network.listAllocations()).toEqual([]);
});

it("limits that neither come into force nor go out of the lease are told and repaired", async () => {
  const { network, faults } = await openWithFaults(testOptions({ uploadCapacity: "50mbit" }));
  const guest = await network.createAllocation(REQUEST);
  faults.refuse({ errno: ERRNO.EPERM, at: 1, match: "RTM_NEWQDISC tbf" });
  // The first write of the lease is that of the new limits.
  refuseLease(ERRNO.ENOMEM, 2);
  await expect(
    network.updateLimits("vm-1", { download: "7mbit", upload: "30mbit" }),
  ).rejects.toMatchObject({
    ...ROLLBACK,
    leftBehind: [`new limits in the lease of ${guest.tap}`],
  });
  expect(guest.shaping).toBe("failed");
  // What the lease guarantees counts.
  await expect(network.createAllocation({ ...OTHER, upload: "30mbit" })).rejects.toMatchObject({
    code: "ERR_FORKNET_EXHAUSTED",
  });
  await network.reconcile();
  expect(guest.shaping).toBe("shaped");
  const upload = { rate: 30e6, ceil: 120e6 };
  const limits = new Map([["vm-1", { download: 7e6, upload }]]);
  expect(brokenInvariants(network, limits)).toEqual([]);
});

it("a repair that was overtaken by a release does not arm the guest", async () => {
  const options = testOptions({ pool: { size: 1 } });
  const { network, hold, isHeld, letGo } = await openHeld(options, "qdisc.tbf,replace");
  onTestFinished(letGo);
  // Its first lease is that of the fork, the second sends it through its group's class.
  const fork = forkWarm(network, { ...REQUEST, group: "team-a" });
  const guest = await fork;
  refuseLease(ERRNO.ENOMEM);
  await expect(guest.shaped).rejects.toMatchObject(KERNEL);
  const { ifindex } = guest;
  tellKernel({ op: "qdisc.delete", ifindex, parent: ROOT });
  expect(tbfOf(guest.tap)).toBeUndefined();
  hold();
  const repair = network.reconcile();
  await expect.poll(isHeld).toBe(true);
  const release = network.releaseAllocation("vm-1");
  letGo();
  await Promise.all([repair, release]);
  expect(readLeases(SHAPER)).toEqual(new Map());
});

it("a group's limits that are refused, but stay on disk, are told", async () => {
  const options = testOptions();
  const { stateDir } = options as { stateDir: string };
  const { network, hold, isHeld, letGo } = await openHeld(options, "class.htb,replace");
  onTestFinished(letGo);
  await network.createAllocation({ ...REQUEST, group: "team-a" });
  hold();
  const change = network.setGroupLimits("team-a", { upload: "30mbit" });
  await expect.poll(isHeld).toBe(true);
  deleteLink(SHAPER);
  renameSync(stateDir, `${stateDir}-away`);
  letGo();
  await expect(change).rejects.toMatchObject({
    ...ROLLBACK,
    leftBehind: ["new limits of group team-a on disk"],
  });
  renameSync(`${stateDir}-away`, stateDir);
  expect(network.listGroups()).toMatchObject([{ name: "team-a", upload: null }]);
  await network.reconcile();
});

describe("a fork that nobody waits for any more, and whose undo is refused", () => {
  /** The TAP is made, and from then on the kernel refuses everything. */
  async function abandon(give: (network: Network, abort: () => void) => unknown) {
    const { network, faults } = await openWithFaults();
    const controller = new AbortController();
    faults.refuse({ errno: ERRNO.EPERM, at: 6, times: 1_000_000 });
    const fork = network.createAllocation(REQUEST, { signal: controller.signal });
    fork.catch(() => {});
    await untilFailed(faults, 2);
    const given = give(network, () => controller.abort());
    const told = await fork.catch((error: unknown) => error);
    faults.none();
    await given;
    return { network, told: told as ForknetError };
  }

  it.each<[string, (network: Network, abort: () => void) => unknown]>([
    ["its signal is aborted", (_, abort) => abort()],
    ["it is released", (network) => network.releaseAllocation("vm-1")],
  ])("tells what is left, and keeps it out of use: %s", async (_, give) => {
    const { network, told } = await abandon(give);
    expect(told).toMatchObject(ROLLBACK);
    const tap = (told.leftBehind as string[])[0]?.replace("TAP ", "") as string;
    expect(linkNamed(tap)).toBeDefined();
    await expect(network.createAllocation({ ...REQUEST, tapName: tap })).rejects.toMatchObject({
      code: "ERR_FORKNET_ADDRESS_IN_USE",
    });
    await network.reconcile();
    expect(linkNamed(tap)).toBeUndefined();
    expect((await network.createAllocation({ ...REQUEST, tapName: tap })).tap).toBe(tap);
    expect(brokenInvariants(network)).toEqual([]);
  });
});
