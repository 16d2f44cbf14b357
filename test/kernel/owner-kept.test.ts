// The owner of a guest's TAP stays with the guest: through standby and restore, kill -9 and adoption,
// with the lease map and without it, and when a restore fails.

import { afterEach, describe, expect, it, vi } from "vitest";
import type { Allocation, NetworkOptions, TapOwner } from "../../dist/index.js";
import { Agent, without } from "../support/agent.js";
import { forknet, forknetJson } from "../support/cli.js";
import { openWithFaults, refuseLease } from "../support/faults.js";
import { linkNamed } from "../support/kernel-view.js";
import { LeaseMap } from "../support/lease-map.js";
import { BRIDGE, destroyedAtEnd, openForTest, SHAPER, testOptions } from "../support/network.js";
import { TapOpener } from "../support/tap-opener.js";

const SHARED = 70_001;
const OWN = 70_002;
const OTHER = 70_003;
const GROUP = 70_004;
const ENOMEM = 12;
const REQUEST = { instanceId: "vm-1", instanceName: "alpha", upload: "20mbit" };
const OWNERS: [string, TapOwner][] = [
  ["a uid", { uid: OWN }],
  ["a gid", { gid: GROUP }],
  ["uid and gid", { uid: OWN, gid: GROUP }],
  ["root", { uid: 0, gid: 0 }],
  ["the largest ids", { uid: 2 ** 32 - 2, gid: 2 ** 32 - 2 }],
];

function ownerOf(tap: string): TapOwner {
  const { owner, group } = linkNamed(tap)?.tun ?? {};
  return {
    ...(owner === undefined ? {} : { uid: owner }),
    ...(group === undefined ? {} : { gid: group }),
  };
}

afterEach(() => void vi.restoreAllMocks());

describe("standby and restore", () => {
  it.each(OWNERS)("keep %s", async (_, owner) => {
    const options = testOptions({ tap: { owner: SHARED } });
    const network = await openForTest(options);
    await network.createAllocation({ ...REQUEST, owner });
    await network.standbyAllocation("vm-1");
    expect(network.getAllocation("vm-1")).toMatchObject({ owner, state: "standby" });
    await network.close();
    const again = await openForTest(options);
    expect(again.storeDamage).toEqual([]);
    const { tap } = await again.recreateAllocation("vm-1");
    expect(again.getAllocation("vm-1")?.owner).toEqual(owner);
    expect(ownerOf(tap)).toEqual(owner);
    expect((await again.verify()).differences).toEqual([]);
  });

  it("keep that a guest has none: it gets what the network has by then", async () => {
    const options = testOptions({ tap: { owner: SHARED } });
    const network = await openForTest(options);
    const { tap } = await network.createAllocation(REQUEST);
    expect(ownerOf(tap)).toEqual({ uid: SHARED });
    await network.standbyAllocation("vm-1");
    await network.close();
    const again = await openForTest({ ...options, tap: { owner: OTHER } });
    const { tap: next, owner } = await again.recreateAllocation("vm-1");
    expect(owner).toBeUndefined();
    expect(ownerOf(next)).toEqual({ uid: OTHER });
  });

  it("replace it by what the restore says", async () => {
    const network = await openForTest(testOptions({ pool: { size: 2 } }));
    await network.createAllocation({ ...REQUEST, owner: { uid: OWN, gid: GROUP } });
    await network.standbyAllocation("vm-1");
    const { tap, owner } = await network.recreateAllocation("vm-1", { owner: OTHER });
    expect(owner).toEqual({ uid: OTHER });
    expect(ownerOf(tap)).toEqual({ uid: OTHER });
    expect(await (await TapOpener.as({ uid: OWN, gid: GROUP })).tries(tap)).toBe("EPERM");
    expect(await (await TapOpener.as({ uid: OTHER })).tries(tap)).toBe("opened");
  });

  it("leave the former owner in force when the restore is refused", async () => {
    const { network, faults } = await openWithFaults();
    await network.createAllocation({ ...REQUEST, owner: OWN });
    await network.standbyAllocation("vm-1");
    const restore = () => network.recreateAllocation("vm-1", { owner: OTHER, upload: "1mbit" });
    faults.refuse({ errno: ENOMEM, at: 1, match: "TUNSETIFF" });
    await expect(restore()).rejects.toMatchObject({ code: "ERR_FORKNET_KERNEL" });
    faults.none();
    refuseLease(ENOMEM);
    await expect(restore()).rejects.toMatchObject({ code: "ERR_FORKNET_KERNEL" });
    vi.restoreAllMocks();
    expect(network.getAllocation("vm-1")).toMatchObject({ owner: { uid: OWN }, state: "standby" });
    const { tap } = await network.recreateAllocation("vm-1");
    expect(ownerOf(tap)).toEqual({ uid: OWN });
  });
});

describe("kill -9 and adoption", () => {
  const launchers: [string, string[]][] = [
    ["with CAP_SYS_ADMIN", []],
    ["without", without("sys_admin")],
  ];
  const cases = launchers.flatMap(([how, launcher]) =>
    OWNERS.map(([what, owner]) => [what, how, owner, launcher] as const),
  );

  it.each(cases)("keep %s, %s", async (_, __, owner, launcher) => {
    const options = testOptions({ tap: { owner: SHARED } });
    destroyedAtEnd(options);
    const first = new Agent(launcher);
    await first.open(options);
    const { tap } = await first.fork({ ...REQUEST, owner });
    const { owner: none } = await first.fork({ instanceId: "vm-2", instanceName: "beta" });
    expect(none).toBeUndefined();
    await first.kill();
    expect(ownerOf(tap)).toEqual(owner);
    const second = new Agent(launcher);
    const adopted = await second.open(options);
    expect(adopted.map((one) => [one.instanceId, one.owner])).toEqual(
      expect.arrayContaining([
        ["vm-1", owner],
        ["vm-2", undefined],
      ]),
    );
    expect(await second.call("verify")).toMatchObject({ compared: 2, differences: [] });
    await second.call("standbyAllocation", "vm-1");
    const restored = (await second.call("recreateAllocation", "vm-1")) as Allocation;
    expect(ownerOf(restored.tap)).toEqual(owner);
    await second.kill();
  });

  it.each(launchers)(
    "leave a guest that has none with what it was made with, %s",
    async (_, launcher) => {
      const options: NetworkOptions = testOptions({ tap: { owner: SHARED, group: GROUP } });
      destroyedAtEnd(options);
      const first = new Agent(launcher);
      await first.open(options);
      const { tap } = await first.fork(REQUEST);
      await first.kill();
      const second = new Agent(launcher);
      await second.open({ ...options, tap: { owner: OTHER } });
      expect(await second.call("verify")).toMatchObject({ compared: 1, differences: [] });
      expect(await second.call("reconcile")).toMatchObject({ actions: [] });
      expect(ownerOf(tap)).toEqual({ uid: SHARED, gid: GROUP });
      await second.kill();
    },
  );

  it("read a lease without an owner, as a former release writes it, as one that has none", async () => {
    const options = testOptions({ tap: { owner: SHARED } });
    const network = await openForTest(options);
    const { ifindex } = await network.createAllocation({ ...REQUEST, owner: OWN });
    await network.close();
    LeaseMap.in(SHAPER).change(ifindex, (lease) => void lease.fill(0, 276, 288));
    const again = await openForTest(options);
    expect(again.getAllocation("vm-1")?.owner).toBeUndefined();
    expect((await again.verify()).differences).toEqual([]);
  });
});

it("is what status and inspect say, with an agent and without", async () => {
  const options = testOptions();
  const network = await openForTest(options);
  await network.createAllocation({ ...REQUEST, owner: { uid: OWN, gid: GROUP } });
  await network.createAllocation({ instanceId: "vm-2", instanceName: "beta" });
  const stateDir = ["--state-dir", options.stateDir as string];
  const owners = async () => {
    const { value } = await forknetJson(["status", "--bridge", BRIDGE, ...stateDir]);
    const { guests } = value as { guests: { instanceId: string; owner: unknown }[] };
    return Object.fromEntries(guests.map(({ instanceId, owner }) => [instanceId, owner]));
  };
  const expected = { "vm-1": { uid: OWN, gid: GROUP }, "vm-2": null };
  expect(await owners()).toEqual(expected);
  const inspect = ["inspect", "vm-1", "--interval", "0", "--bridge", BRIDGE, ...stateDir];
  expect((await forknet(inspect)).stdout).toContain(`uid ${OWN} with gid ${GROUP}`);
  await network.close();
  expect(await owners()).toEqual(expected);
});
