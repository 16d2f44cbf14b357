// What proves that a TAP or a class is this network's. Nothing else is ever touched.

import { FIRST_GUEST_MINOR, minorOfLeaf } from "../identity/class-pool.js";
import type { Subnet } from "../identity/ipv4.js";
import { contains } from "../identity/ipv4.js";
import type { ClassInfo, LinkInfo } from "../kernel/binding.js";
import type { Kernel } from "../kernel/kernel.js";
import { ALIAS_PREFIX, addressInAlias } from "../lease/alias.js";

/**
 * TAPs that are this network's: they carry our alias and stand on our bridge or, when a process
 * died before it got that far, on none with an address of our subnet.
 */
export function findOwnTaps(
  kernel: Kernel,
  bridgeIfindex: number | undefined,
  subnet: Subnet,
): LinkInfo[] {
  return kernel.links({ kind: "tun" }).filter((link) => isOwnTap(link, bridgeIfindex, subnet));
}

/** The proof of ownership behind findOwnTaps. */
export function isOwnTap(
  { kind, alias, master }: LinkInfo,
  bridgeIfindex: number | undefined,
  subnet: Subnet,
): boolean {
  if (kind !== "tun" || !alias.startsWith(ALIAS_PREFIX)) return false;
  if (master !== 0) return master === bridgeIfindex;
  const ip = addressInAlias(alias);
  return ip !== undefined && contains(subnet, ip);
}

/**
 * A class is ours when a TAP, a lease or a group of ours names it, when its leaf has the handle that
 * we derive from its minor, or when one of ours stands under it.
 */
export function foreignClasses(
  classes: readonly ClassInfo[],
  named: ReadonlySet<number>,
): number[] {
  const minorOf = (handle: number) => handle & 0xffff;
  const isOurs = ({ handle, leaf }: ClassInfo) =>
    named.has(minorOf(handle)) || minorOf(handle) === minorOfLeaf(leaf);
  const own = classes.filter(isOurs);
  const ours = new Set(own.flatMap(({ handle, parent }) => [minorOf(handle), minorOf(parent)]));
  const minors = classes.map(({ handle }) => minorOf(handle));
  return minors.filter((minor) => minor >= FIRST_GUEST_MINOR && !ours.has(minor));
}
