// The doctor on a bridge that fills up: TAPs of somebody else, which it names as such.

import { afterEach, expect, it } from "vitest";
import { loadAddon } from "../../src/kernel/addon.js";
import { lookFor } from "../support/diagnosis.js";
import { deleteLink, indexOf, tellKernel, withNetlink } from "../support/kernel-view.js";
import { BRIDGE } from "../support/network.js";

const GROUP = 4242;

afterEach(() => {
  tellKernel({ op: "link.deleteGroup", group: GROUP });
  deleteLink(BRIDGE);
});

function addPorts(first: number, end: number): void {
  const addon = loadAddon();
  const master = indexOf(BRIDGE);
  withNetlink((netlink) => {
    for (let i = first; i < end; i++) {
      const { fd, ifindex } = addon.openTap({ name: `foreign${i}`, exclusive: true });
      addon.setTapPersistent(fd, true);
      addon.closeFd(fd);
      netlink.talk([{ op: "link.set", ifindex, master, group: GROUP }]);
    }
  });
}

it("warns when few ports are left, and calls none left a problem", async () => {
  tellKernel({ op: "link.create", name: BRIDGE, kind: "bridge", multicastSnooping: false });
  addPorts(0, 923);
  expect((await lookFor("bridge.ports")).severity).toBe("ok");
  addPorts(923, 924);
  expect(await lookFor("bridge.ports")).toMatchObject({
    severity: "warning",
    found: "924 of 1023 ports used: 0 guests, 0 warm slots, 924 not forknet's",
    mend: [expect.stringContaining("bridge link show master vmbr0") as string],
  });
  addPorts(924, 1023);
  expect((await lookFor("bridge.ports")).severity).toBe("problem");
});
