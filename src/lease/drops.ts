// The counters of frames that the BPF programs dropped, by reason. Order as in native/bpf/layout.h.

import { loadAddon } from "../kernel/addon.js";

/** Why a program at a TAP or at the shaper dropped a frame. */
export type DropReason =
  | "unarmed"
  | "blocked"
  | "vlan"
  | "malformed"
  | "mac"
  | "ip"
  | "arp"
  | "protocol"
  | "peer"
  | "unclassified"
  | "gate_unarmed"
  | "gate_blocked"
  | "gate_foreign"
  | "gate_malformed"
  | "untranslatable"
  | "checksum";

/** In the order of their counters. */
export const DROP_REASONS = [
  "unarmed",
  "blocked",
  "vlan",
  "malformed",
  "mac",
  "ip",
  "arp",
  "protocol",
  "peer",
  "unclassified",
  "gate_unarmed",
  "gate_blocked",
  "gate_foreign",
  "gate_malformed",
  "untranslatable",
  "checksum",
] as const satisfies readonly DropReason[];

/** Reads all counters, summed over the CPUs; they only grow while the map lives. */
export function readDrops(mapFd: number): Record<DropReason, number> {
  const { bpf } = loadAddon();
  const cpus = bpf.possibleCpus();
  const key = Buffer.alloc(4);
  const counts = DROP_REASONS.map((reason, i) => {
    key.writeUInt32LE(i);
    const values = bpf.mapGet(mapFd, key, cpus * 8);
    let sum = 0n;
    for (let cpu = 0; values && cpu < cpus; cpu++) sum += values.readBigUInt64LE(cpu * 8);
    return [reason, Number(sum)];
  });
  return Object.fromEntries(counts) as Record<DropReason, number>;
}
