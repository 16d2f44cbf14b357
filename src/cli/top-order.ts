// In which order `forknet top` lists the guests: the busiest first, or by id.

import type { GuestStatus } from "../control/status.js";
import type { Throughput } from "./throughput.js";

export const SORT_KEYS = ["down", "up", "drops", "id"] as const;
export type SortKey = (typeof SORT_KEYS)[number];

export function isSortKey(key: string | undefined): key is SortKey {
  return SORT_KEYS.some((one) => one === key);
}

/** Numbers in ids count as numbers: vm-2 comes before vm-10. Guests without figures come last. */
export function sortGuests(
  guests: readonly GuestStatus[],
  throughput: ReadonlyMap<string, Throughput>,
  key: SortKey,
): GuestStatus[] {
  const byId = new Intl.Collator("en", { numeric: true });
  const weight = ({ instanceId, traffic }: GuestStatus): number => {
    const now = throughput.get(instanceId);
    if (key === "down") return now?.download ?? -1;
    if (key === "up") return now?.upload ?? -1;
    return traffic ? traffic.download.drops + traffic.upload.drops + traffic.guardDrops : -1;
  };
  return [...guests].sort((a, b) => {
    const heavier = key === "id" ? 0 : weight(b) - weight(a);
    return heavier || byId.compare(a.instanceId, b.instanceId);
  });
}
