// What listGroups tells: the groups of a network, with what their guests have together.

import type { BitsPerSecond } from "../bandwidth.js";
import { formatClass } from "../identity/class-pool.js";
import type { GroupLimits } from "../limits.js";
import type { Parts } from "../parts.js";

/** One group. In bits per second. */
export interface GroupInfo {
  name: string;
  /** `null`: no limits of its own. */
  upload: { rate: BitsPerSecond; ceil: BitsPerSecond } | null;
  /** What its guests are guaranteed one by one; those in standby are not. */
  guaranteed: BitsPerSecond;
  /** Ids of its guests, those in standby included. */
  instanceIds: string[];
  /** Inner HTB class on the shaper, "1:a0"; "" while no guest of it has a TAP. */
  classId: string;
}

/** By name. */
export function listGroups({ groups, registry }: Pick<Parts, "groups" | "registry">): GroupInfo[] {
  const byName = new Map<string, GroupInfo>();
  const add = (name: string, upload: GroupLimits | null, minor?: number) => {
    const classId = minor === undefined ? "" : formatClass(minor);
    const limits = upload && { ...upload };
    const info = { name, upload: limits, guaranteed: 0, instanceIds: [], classId };
    byName.set(name, info);
    return info as GroupInfo;
  };
  for (const { name, limits, minor } of groups.all()) add(name, limits, minor);
  for (const { id, lease, guaranteed } of registry.all()) {
    if (lease.group === undefined) continue;
    const group = byName.get(lease.group) ?? add(lease.group, null);
    group.instanceIds.push(id);
    group.guaranteed += guaranteed;
  }
  return [...byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
