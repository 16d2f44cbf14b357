// Takes away what a lost attempt to make a slot may have left: a worker died under it, so that
// nobody ran its undo. Runs in the create lane, in the thread after. The identity is still claimed,
// so that nothing of another guest has this name, address or class.

import { classHandle, type NetworkFacts } from "../facts.js";
import type { Subnet } from "../identity/ipv4.js";
import type { Remains } from "../identity/stranded.js";
import { ENODEV, ENOENT, type Kernel, Refused } from "../kernel/kernel.js";
import type { Message } from "../kernel/messages.js";
import { leasedIn } from "./maps.js";
import { isOwnTap } from "./ownership.js";
import { EADDRNOTAVAIL } from "./undo.js";

export interface WipeJob {
  facts: NetworkFacts;
  subnet: Subnet;
  remains: Remains;
}

/** Deletes what is there; whether there was a TAP. Throws Refused when something would not go. */
export function wipe(kernel: Kernel, { facts, subnet, remains }: WipeJob): boolean {
  const { tapName, ip, classMinor } = remains;
  const { bridge, shaper } = facts;
  const tap = kernel.link({ name: tapName });
  const leased = leasedIn(kernel, facts.maps);
  const isThere = tap !== undefined && isOwnTap(kernel, tap, bridge.ifindex, subnet, leased);
  if (isThere) remove(kernel, { op: "link.delete", ifindex: tap.ifindex }, tapName);
  remove(kernel, { op: "neighbor.delete", ifindex: bridge.ifindex, ip }, bridge.name);
  if (classMinor !== undefined) {
    const handle = classHandle(classMinor);
    remove(kernel, { op: "class.delete", ifindex: shaper.ifindex, handle }, shaper.name);
  }
  return isThere;
}

function remove(kernel: Kernel, message: Message, device: string): void {
  const [failure] = kernel.talk([message], device);
  const isGone = [ENODEV, ENOENT, EADDRNOTAVAIL].includes(failure?.errno ?? 0);
  if (failure && !isGone) throw new Refused(failure);
}
