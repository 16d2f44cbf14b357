// Warm slots that somebody deletes, sets down or takes off the bridge: the fork works all the same.

import { describe, expect, it } from "vitest";
import { published } from "../support/events.js";
import {
  deleteLink,
  fdbOf,
  indexOf,
  linkNamed,
  macNumber,
  neighborsOf,
  tellKernel,
  warmSlots,
} from "../support/kernel-view.js";
import { BRIDGE, openForTest, poolFilled, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";

/** The slot that the next fork would get. */
async function firstSlot(size: number) {
  const network = await openForTest(testOptions({ pool: { size } }));
  await poolFilled(network, size);
  const slots = warmSlots(BRIDGE).map((name) => ({ name, ifindex: indexOf(name) }));
  const first = slots.sort((a, b) => a.ifindex - b.ifindex)[0] as (typeof slots)[number];
  return { network, ...first };
}

describe("a warm slot", () => {
  it("that was deleted is written off, told of, and the next one taken", async () => {
    const { network, name } = await firstSlot(3);
    const neighbors = neighborsOf(BRIDGE).length;
    const lost = published("forknet:slot-lost");
    deleteLink(name);
    const allocation = await network.createAllocation(REQUEST);
    expect(allocation.tap).not.toBe(name);
    expect(linkNamed(allocation.tap)).toMatchObject({ up: true, port: { isolated: true } });
    expect(lost).toEqual([{ bridge: BRIDGE, tap: name }]);
    await poolFilled(network, 3);
    // The lost slot's neighbour entry is gone, the guest's and three slots' are there.
    expect(neighborsOf(BRIDGE).length).toBe(neighbors + 1);
  });

  it("that was deleted gives its address to a fork that asks for it", async () => {
    const { network, name } = await firstSlot(2);
    const ip = linkNamed(name)?.alias.split(" ")[2] as string;
    deleteLink(name);
    const allocation = await network.createAllocation({ ...REQUEST, ip });
    expect(allocation.ip).toBe(ip);
    expect(linkNamed(allocation.tap)).toMatchObject({ up: true, master: indexOf(BRIDGE) });
  });

  it("that was set down is up when its guest is shaped", async () => {
    const { network, name, ifindex } = await firstSlot(1);
    tellKernel({ op: "link.set", ifindex, up: false });
    const allocation = await network.createAllocation(REQUEST);
    expect(allocation.tap).toBe(name);
    await allocation.shaped;
    expect(linkNamed(name)?.up).toBe(true);
  });

  it("that was taken off the bridge is back on it, isolated, when its guest is shaped", async () => {
    const { network, name, ifindex } = await firstSlot(1);
    tellKernel({ op: "link.set", ifindex, master: 0 });
    const allocation = await network.createAllocation(REQUEST);
    await allocation.shaped;
    expect(linkNamed(name)).toMatchObject({
      master: indexOf(BRIDGE),
      up: true,
      port: { isolated: true, learning: false },
    });
    expect(fdbOf(BRIDGE, name)).toContainEqual({ mac: macNumber(allocation.mac), state: 0x40 });
  });

  it("whose port somebody opened up is isolated again when its guest is shaped", async () => {
    const { network, name, ifindex } = await firstSlot(1);
    tellKernel({ op: "port.set", ifindex, isolated: false, unicastFlood: true });
    const allocation = await network.createAllocation(REQUEST);
    await allocation.shaped;
    expect(linkNamed(name)?.port).toMatchObject({ isolated: true, unicastFlood: false });
  });
});
