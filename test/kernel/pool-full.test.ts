// A bridge without a free port: forks say so, the pool gives up once and comes back, exact wishes
// go on with warm slots.

import { expect, it, onTestFinished } from "vitest";
import { loadAddon } from "../../src/kernel/addon.js";
import { published } from "../support/events.js";
import {
  deleteLink,
  indexOf,
  linkNamed,
  tellKernel,
  warmSlots,
  withNetlink,
} from "../support/kernel-view.js";
import { BRIDGE, openForTest, poolFilled, testOptions } from "../support/network.js";
import { RawTap } from "../support/raw-tap.js";

const FOREIGN_GROUP = 4242;
const EXFULL = 54;
/** What a write to a deleted TAP gets; Node has no name for it. */
const EBADFD = 77;
const fork = (i: number) => ({ instanceId: `vm-${i}`, instanceName: `name-${i}` });

/** Takes every free port of the bridge for TAPs of somebody else. */
function fillBridge(): void {
  const addon = loadAddon();
  const master = indexOf(BRIDGE);
  onTestFinished(emptyBridge);
  withNetlink((netlink) => {
    for (let i = 0; ; i++) {
      const { fd, ifindex } = addon.openTap({ name: `foreign${i}`, exclusive: true });
      addon.setTapPersistent(fd, true);
      addon.closeFd(fd);
      const [refused] = netlink.talk([
        { op: "link.set", ifindex, master },
        { op: "link.set", ifindex, group: FOREIGN_GROUP },
      ]);
      if (refused?.errno === EXFULL) return;
      if (refused) throw new Error(`errno ${refused.errno}`);
    }
  });
}

function emptyBridge(): void {
  withNetlink((netlink) => netlink.talk([{ op: "link.deleteGroup", group: FOREIGN_GROUP }]));
}

it("a full bridge is named as such, and left as it was; the pool recovers when there are ports", async () => {
  const network = await openForTest(testOptions({ pool: { size: 3 } }));
  await poolFilled(network, 3);
  const failures = published("forknet:pool-failed");
  fillBridge();
  // A slot is told from a guest by its alias, which is written with the limits.
  for (let i = 0; i < 3; i++) await (await network.createAllocation(fork(i))).shaped;
  expect(warmSlots(BRIDGE)).toEqual([]);
  const full = { code: "ERR_FORKNET_EXHAUSTED", message: "bridge vmbr0 is full (1023 ports)" };
  await expect(network.createAllocation(fork(3))).rejects.toMatchObject(full);
  expect(network.getAllocation("vm-3")).toBeUndefined();
  // Tried again and again behind our back, told of once.
  await expect.poll(() => failures.length).toBe(1);
  await expect(network.createAllocation(fork(3))).rejects.toMatchObject(full);
  expect(failures.length).toBe(1);
  emptyBridge();
  await network.createAllocation(fork(3));
  await expect.poll(() => warmSlots(BRIDGE).length).toBe(3);
});

it("an exact name on a full bridge comes from a warm slot", async () => {
  const network = await openForTest(testOptions({ pool: { size: 1 } }));
  await poolFilled(network, 1);
  fillBridge();
  const { tap } = await network.createAllocation({ ...fork(0), tapName: "exact" });
  expect(linkNamed(tap)).toMatchObject({ up: true, master: indexOf(BRIDGE) });
});

it("a TAP that its VMM still holds open is released, and the VMM is told", async () => {
  const network = await openForTest(testOptions({ pool: { size: 1 } }));
  await poolFilled(network, 1);
  const { tap } = await network.createAllocation(fork(0));
  using vmm = new RawTap({ tap });
  await network.releaseAllocation("vm-0");
  expect(linkNamed(tap)).toBeUndefined();
  expect(() => vmm.send(Buffer.alloc(60))).toThrow(expect.objectContaining({ errno: -EBADFD }));
});

it("a release takes nothing that others put into another group meanwhile", async () => {
  const network = await openForTest();
  for (let i = 0; i < 30; i++) await network.createAllocation(fork(i));
  const released = Promise.all(
    network.listAllocations().map((vm) => network.releaseAllocation(vm.instanceId)),
  );
  tellKernel({ op: "link.create", name: "bystander", kind: "ifb" });
  tellKernel({ op: "link.set", ifindex: indexOf("bystander"), group: 7 });
  await released;
  expect(linkNamed("bystander")).toMatchObject({ group: 7 });
  deleteLink("bystander");
});
