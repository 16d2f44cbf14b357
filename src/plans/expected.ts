// What the kernel should hold for a TAP and for the shaper, as the very messages that make it: what
// compare.ts looks for, and what is sent again where it is missing.

import type { BitsPerSecond } from "../bandwidth.js";
import { FILTER_HANDLE, FILTER_PRIORITY, type NetworkFacts } from "../facts.js";
import type { ClassClaim } from "../identity/class-pool.js";
import type { TapOwner } from "../identity/tap-owner.js";
import type { Ipv4, Mac, Message } from "../kernel/messages.js";
import { formatAlias, formatSlotAlias } from "../lease/alias.js";
import type { Lease } from "../lease/lease.js";
import { baseLimits, type ShapingDefaults, toKernelLimits } from "../limits.js";
import { shaperAlias, treeMessages } from "./shaper.js";
import { afterPersist, beforePersist, classifyFilter } from "./slot.js";

/** A TAP as the network knows it: a guest's when it has a lease, else a warm slot's. Plain data. */
export interface KnownTap {
  ifindex: number;
  tapName: string;
  class: ClassClaim;
  ip: Ipv4;
  mac: Mac;
  /** Who may open it. */
  owner: TapOwner;
  lease?: Lease;
}

/** In the order of making: isolation before UP, the guard before everything that passes. */
export function tapMessages(
  facts: NetworkFacts,
  tap: KnownTap,
  defaults: ShapingDefaults,
): Message[] {
  const { ifindex, tapName, ip, mac, lease } = tap;
  const alias = lease ? formatAlias(lease) : formatSlotAlias(ip, mac, tap.class.minor);
  const limits = toKernelLimits(lease?.limits ?? baseLimits(defaults.baseLimit), defaults);
  const spec = { tapName, ip, mac, class: tap.class, limits, alias };
  return [
    // First of all out of the group that a deletion would take it with.
    { op: "link.set", ifindex, group: 0 },
    { op: "link.set", ifindex, name: tapName },
    ...beforePersist(facts, spec, ifindex),
    ...afterPersist(facts, spec, ifindex),
  ];
}

/** The tree without guests, and the classifier. */
export function shaperMessages(facts: NetworkFacts, capacity: BitsPerSecond): Message[] {
  const { ifindex } = facts.shaper;
  const { name, addressAdded } = facts.bridge;
  return [
    ...treeMessages(ifindex, shaperAlias(name, addressAdded), capacity),
    classifyFilter(facts, "replace"),
  ];
}

/** The program a filter of ours should have, by the filter's name. */
export function programIdOf(facts: NetworkFacts, filterName: string): number {
  const program = filterName.slice("forknet-".length) as keyof NetworkFacts["programIds"];
  return facts.programIds[program];
}

/** Whether a filter stands where ours do. */
export function isOurPlace({ priority, handle }: { priority: number; handle: number }): boolean {
  return priority === FILTER_PRIORITY && handle === FILTER_HANDLE;
}
