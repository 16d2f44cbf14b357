// The counters of frames that the BPF programs dropped, by reason. Order as in native/bpf/layout.h.

import { loadAddon } from "../kernel/addon.js";

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
] as const;

export type DropReason = (typeof DROP_REASONS)[number];

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
