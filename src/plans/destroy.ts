// How a network goes: its shaper, and its bridge or what it changed on somebody else's.

import type { NetworkFacts } from "../facts.js";
import { contains, type Subnet } from "../identity/ipv4.js";
import { ENODEV, type Kernel, Refused } from "../kernel/kernel.js";
import type { Message } from "../kernel/messages.js";
import { bridgeAlias } from "./bridge.js";
import { leasedIn } from "./maps.js";
import { findOthers, isShared } from "./others.js";
import { findOwnTaps } from "./ownership.js";
import { whilePromoting } from "./sysctl.js";
import { EADDRNOTAVAIL } from "./undo.js";

/**
 * Takes down the shaper, and the bridge when it is ours and nobody else uses it by now; else what was
 * changed on it is put back. The TAPs are gone already, but for those that could not be deleted before:
 * without the bridge nobody would find them again. Throws Refused.
 */
export function destroy(kernel: Kernel, facts: NetworkFacts, subnet: Subnet): void {
  const { bridge, shaper } = facts;
  const remove = (name: string, ifindex: number) =>
    must(kernel, name, { op: "link.delete", ifindex });
  for (const { name, ifindex } of findOwnTaps(
    kernel,
    bridge.ifindex,
    subnet,
    leasedIn(kernel, facts.maps),
  ))
    remove(name, ifindex);
  const isLeft = isUsed(kernel, bridge, subnet);
  // While the shaper is there to remember it.
  if (!bridge.madeByUs) giveBack(kernel, bridge, subnet, isLeft);
  else if (isLeft) handOver(kernel, bridge, subnet);
  remove(shaper.name, shaper.ifindex);
  if (bridge.madeByUs && !isLeft) remove(bridge.name, bridge.ifindex);
}

/** One that somebody deleted is of no use to anybody. */
function isUsed(kernel: Kernel, { ifindex }: NetworkFacts["bridge"], subnet: Subnet): boolean {
  return kernel.link({ ifindex }) !== undefined && isShared(findOthers(kernel, ifindex, subnet));
}

/** Without alias and shaper nothing counts it as forknet's any more. */
function handOver(kernel: Kernel, bridge: NetworkFacts["bridge"], subnet: Subnet): void {
  const { name, ifindex } = bridge;
  removeAddress(kernel, bridge, subnet);
  // One that somebody else wrote says nothing of us.
  if (kernel.link({ ifindex })?.alias === bridgeAlias(subnet))
    must(kernel, name, { op: "link.set", ifindex, alias: "" });
}

function giveBack(
  kernel: Kernel,
  bridge: NetworkFacts["bridge"],
  subnet: Subnet,
  isLeftUp: boolean,
): void {
  const { name, ifindex, addressAdded, broughtUp } = bridge;
  if (addressAdded) removeAddress(kernel, bridge, subnet);
  // Others may depend on it by now.
  if (broughtUp && !isLeftUp) must(kernel, name, { op: "link.set", ifindex, up: false });
}

/**
 * With the first address of a subnet on a link the kernel deletes all others of it, unless it is told
 * to promote the next: those are somebody else's.
 */
function removeAddress(
  kernel: Kernel,
  { ifindex, name }: NetworkFacts["bridge"],
  subnet: Subnet,
): void {
  const { gateway: ip, prefixLength } = subnet;
  const remove = () => must(kernel, name, { op: "address.delete", ifindex, ip, prefixLength });
  const hasOthers = kernel
    .addresses(ifindex)
    .some((one) => one.ip !== ip && one.prefixLength === prefixLength && contains(subnet, one.ip));
  if (hasOthers) whilePromoting(name, remove);
  else remove();
}

/** What is gone already is what was wanted. */
function must(kernel: Kernel, device: string, message: Message): void {
  const [failure] = kernel.talk([message], device);
  const isGone = failure?.errno === ENODEV || failure?.errno === EADDRNOTAVAIL;
  if (failure && !isGone) throw new Refused(failure);
}
