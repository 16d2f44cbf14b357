// Live throughput: two looks at the counters and the time between them.

import type { NetworkStatus } from "../control/status.js";

/** Bits per second; null for a guest that was not there at both looks. */
export interface Throughput {
  download: number | null;
  upload: number | null;
}

/** By instance id. */
export function throughputBetween(
  before: NetworkStatus | undefined,
  after: NetworkStatus,
): Map<string, Throughput> {
  const seconds = before ? (after.readMs - before.readMs) / 1000 : 0;
  const former = new Map(before?.guests.map((guest) => [guest.instanceId, guest]));
  return new Map(
    after.guests.map(({ instanceId, ifindex, traffic }) => {
      const was = former.get(instanceId);
      const rate = (direction: "download" | "upload"): number | null => {
        const [from, to] = [was?.traffic?.[direction].bytes, traffic?.[direction].bytes];
        // A TAP that was made anew counts from zero; another source has another clock.
        if (from === undefined || to === undefined || was?.ifindex !== ifindex || to < from)
          return null;
        return before?.source === after.source && seconds > 0 ? ((to - from) * 8) / seconds : null;
      };
      return [instanceId, { download: rate("download"), upload: rate("upload") }];
    }),
  );
}
