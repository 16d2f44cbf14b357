// What of this network is in the kernel now: its TAPs and the entries of the lease map. Read-only,
// for reconcile.

import type { NetworkFacts } from "../facts.js";
import type { Subnet } from "../identity/ipv4.js";
import type { Kernel } from "../kernel/kernel.js";
import type { Ipv4 } from "../kernel/messages.js";
import { addressInAlias } from "../lease/alias.js";
import { LEASE_BYTES } from "../lease/lease.js";
import { findOwnTaps } from "./adopt.js";

/** A TAP whose alias proves that it is ours. */
export interface SurveyedTap {
  tapName: string;
  ifindex: number;
  ip: Ipv4;
  alias: string;
}

export interface Survey {
  taps: SurveyedTap[];
  /** Ifindexes the lease map has entries for. */
  leased: number[];
}

/** Leaves out what the reap lane has marked already. */
export function survey(kernel: Kernel, facts: NetworkFacts, subnet: Subnet): Survey {
  const taps = findOwnTaps(kernel, facts.bridge.ifindex, subnet)
    .filter(({ group }) => group !== facts.condemnedGroup)
    .map(({ name, ifindex, alias }) => ({
      tapName: name,
      ifindex,
      alias,
      ip: addressInAlias(alias) ?? 0,
    }));
  const entries = kernel.bpf.mapEntries(facts.maps.leases, 4, LEASE_BYTES);
  return { taps, leased: entries.map(({ key }) => key.readUInt32LE(0)) };
}
