// statistics(): what the kernel counted for every guest, both ways, read in one pass.

import type { Guest } from "./guests/guest.js";
import { type DropReason, readDrops } from "./lease/drops.js";
import type { Parts } from "./parts.js";
import { NUMBERS_PER_GUEST } from "./plans/count.js";

/**
 * One direction of a guest. Bytes are those of frames with their Ethernet headers; of a frame that
 * is cut into segments each segment counts as a packet, with headers of its own.
 *
 * Counters start at 0 with the guest's TAP and only grow, except that the kernel keeps `drops` and
 * `overlimits` in 32 bits: after 4,294,967,295 they start at 0 again. `bytes` and `packets` have 64
 * bits in the kernel; beyond 2^53 (9 petabytes) their last digits are rounded, as all numbers are.
 */
export interface TrafficCounters {
  /** Sent on by the queue: what was dropped, or waits, is not in it. */
  bytes: number;
  packets: number;
  /** Packets dropped because the queue was full. */
  drops: number;
  /**
   * How often the rate made a packet wait. For an upload it is the class's count, and a class serves
   * one guest after another: only its growth tells.
   */
  overlimits: number;
  /** Waits in the queue now. */
  backlogBytes: number;
}

/** What the kernel counted for one guest. */
export interface GuestStatistics {
  instanceId: string;
  /** Towards the guest. */
  download: TrafficCounters;
  /** From the guest. */
  upload: TrafficCounters;
  /**
   * Frames from and to this guest that the programs at its TAP dropped, whatever the reason. Before Linux 6.5 only those
   * to it: what the guard refuses is dropped at the shaper there, and counted by its reason only.
   */
  guardDrops: number;
}

/** What statistics() gives. */
export interface NetworkStatistics {
  /** When they were read, on the host's monotonic clock: differences of two give rates. */
  readMs: number;
  /** Of every guest that has a TAP; those pending or in standby have none. */
  guests: GuestStatistics[];
  /** Of all guests there are and were, by reason; as drops(). */
  guardDrops: Record<DropReason, number>;
  /** Packets that the shaper sent without a class. 0 unless somebody changed its tree. */
  directPackets: number;
}

/** Rejects with KERNEL. */
export async function statistics(parts: Parts): Promise<NetworkStatistics> {
  const { lanes, registry, facts, metrics } = parts;
  let asked: Guest[] = [];
  const { value, endedMs } = await lanes.count((known) => {
    asked = registry.all().filter(({ ifindex, port }) => ifindex !== 0 && port !== undefined);
    const guests = asked.map(({ ifindex, port }) => ({
      ifindex,
      classMinor: (port as NonNullable<Guest["port"]>).class.minor,
    }));
    return { facts: known, guests };
  });
  metrics.sentUnclassified(value.directPackets);
  return {
    readMs: endedMs,
    guests: asked.flatMap(({ id }, i) => ofGuest(id, value.numbers, i * NUMBERS_PER_GUEST)),
    guardDrops: readDrops(facts.maps.drops),
    directPackets: value.directPackets,
  };
}

/** From what plans/count.ts counted; nothing for a guest whose TAP is not there. */
export function ofGuest(instanceId: string, numbers: Float64Array, at: number): GuestStatistics[] {
  if (Number.isNaN(numbers[at])) return [];
  const download = traffic(numbers.subarray(at));
  const upload = traffic(numbers.subarray(at + 5));
  return [{ instanceId, download, upload, guardDrops: numbers[at + 10] as number }];
}

function traffic(numbers: Float64Array): TrafficCounters {
  const [bytes, packets, drops, overlimits, backlogBytes] = numbers;
  return { bytes, packets, drops, overlimits, backlogBytes } as TrafficCounters;
}
