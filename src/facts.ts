// What is read or made once when a network opens: the cached facts every plan works with. Plain
// data, so that it can be handed to the workers. Changes only when somebody deleted the bridge or
// the shaper and reconcile made another.

import type { Ipv4, Mac } from "./kernel/messages.js";

/**
 * By the kernel's types, or by helpers that were tried. Where neither works, frames with a pending
 * checksum are all dropped or all accepted, as the options say.
 */
export type ChecksumWay = "kfunc" | "helpers" | "drop" | "accept";

export interface NetworkFacts {
  /**
   * Of somebody else's, what is taken back when the network goes: `addressAdded`, the gateway's
   * address; `broughtUp`, it was down.
   */
  bridge: {
    name: string;
    ifindex: number;
    madeByUs: boolean;
    addressAdded: boolean;
    broughtUp: boolean;
  };
  /** The IFB device whose HTB shapes the uploads. */
  shaper: { name: string; ifindex: number };
  /** `mac`: the bridge's. */
  gateway: { ip: Ipv4; mac: Mac };
  /** Of the TAPs: see settleBridge in plans/bridge.ts. */
  mtu: number;
  isolated: boolean;
  /** Guard and gate are those that translate. */
  translate: boolean;
  /** The guard's filter takes frames to the shaper by mirred: see needsMirred. */
  mirrored: boolean;
  /** How the guard judges checksums that are still to be written: see checksum-way.ts. */
  checksums: ChecksumWay;
  /** The kernel has IPv6, so a TAP must be told not to make addresses for it. */
  ipv6: boolean;
  /** Whose the TAPs of guests without an owner of their own are: one of the ids is set, or both. */
  tap: { owner?: number; group?: number; vnetHdr: boolean; multiQueue: boolean };
  /** File descriptors of this process. */
  programs: { guard: number; gate: number; classify: number };
  /** The kernel's ids of the same programs, as a filter tells them. */
  programIds: { guard: number; gate: number; classify: number };
  maps: { leases: number; settings: number; drops: number };
  /** Link group of condemned TAPs, this network's own. */
  condemnedGroup: number;
}

/** HTB root, its inner class and the handles of a TAP's qdiscs and filters. */
export const HTB_ROOT = 0x0001_0000;
export const TBF_HANDLE = 0x0001_0000;
/** TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS) and the egress twin. */
export const INGRESS = 0xffff_fff2;
export const EGRESS = 0xffff_fff3;
export const FILTER_PRIORITY = 1;
export const FILTER_HANDLE = 1;

/** 1:a0 as a number. */
export function classHandle(minor: number): number {
  return HTB_ROOT | minor;
}
