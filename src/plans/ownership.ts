// What proves that a TAP or a class is this network's. Nothing else is ever touched.

import { INGRESS } from "../facts.js";
import { FIRST_GUEST_MINOR, minorOfLeaf } from "../identity/class-pool.js";
import type { Subnet } from "../identity/ipv4.js";
import { contains } from "../identity/ipv4.js";
import type { ClassInfo, LinkInfo } from "../kernel/binding.js";
import type { Kernel } from "../kernel/kernel.js";
import { ALIAS_PREFIX, addressInAlias } from "../lease/alias.js";
import { GUARD } from "./slot.js";

/** The network's lease map, as far as it may be read: which TAPs have a lease in it. */
export interface Leased {
  has(ifindex: number): boolean;
}

const NONE: Leased = new Set();

/** All TAPs that are provably this network's. */
export function findOwnTaps(
  kernel: Kernel,
  bridgeIfindex: number | undefined,
  subnet: Subnet,
  leased: Leased = NONE,
): LinkInfo[] {
  return kernel
    .links({ kind: "tun" })
    .filter((link) => isOwnTap(kernel, link, bridgeIfindex, subnet, leased));
}

/**
 * The lease proves a TAP, whatever its alias says by now: on our bridge, or with our guard. So does
 * an alias of ours on our bridge or, when a process died before it got that far, on none with an
 * address of our subnet.
 */
export function isOwnTap(
  kernel: Kernel,
  link: LinkInfo,
  bridgeIfindex: number | undefined,
  subnet: Subnet,
  leased: Leased = NONE,
): boolean {
  const { kind, master, ifindex } = link;
  if (kind !== "tun") return false;
  const isPort = master !== 0 && master === bridgeIfindex;
  if ((isPort || master === 0) && isNamed(link, subnet)) return true;
  return leased.has(ifindex) && (isPort || hasGuard(kernel, link));
}

function isNamed({ alias, master }: LinkInfo, subnet: Subnet): boolean {
  if (!alias.startsWith(ALIAS_PREFIX)) return false;
  const ip = addressInAlias(alias);
  return ip === undefined ? master !== 0 : contains(subnet, ip);
}

/** A guard at its ingress: it was made as a slot, of this network or another. */
export function hasGuard(kernel: Kernel, { ifindex }: LinkInfo): boolean {
  return kernel.filters(ifindex, INGRESS).some(({ bpf }) => bpf?.name === GUARD);
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
