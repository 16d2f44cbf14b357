// The link group of TAPs that are about to be deleted. Deleting a group takes every link that is in
// it, so that it must hold nothing but this network's TAPs.

import type { LinkInfo } from "../kernel/binding.js";
import { type Kernel, Refused } from "../kernel/kernel.js";

/**
 * The upper half names us ("fk" and the three after it), the lower half the bridge: no two networks
 * of a namespace share a group.
 */
const BASES = [0x666b_0000, 0x666c_0000, 0x666d_0000, 0x666e_0000];

/**
 * The first that no stranger is in: a link that somebody put there must neither go nor keep live
 * guests from their network. Throws CONFLICT when strangers are in all of them.
 */
export function chooseGroup(kernel: Kernel, bridge: number, own: readonly LinkInfo[]): number {
  const ours = new Set(own.map(({ ifindex }) => ifindex));
  const strangers = kernel.links().filter(({ ifindex }) => !ours.has(ifindex));
  const groups = groupsOf(bridge);
  const free = groups.find((group) => !strangers.some((link) => link.group === group));
  if (free !== undefined) return free;
  const stranger = strangers.find(({ group }) => group === groups[0]) as LinkInfo;
  throw new Refused({
    code: "ERR_FORKNET_CONFLICT",
    operation: "openNetwork",
    device: stranger.name,
    errno: 0,
    text: `${stranger.name} is in link group ${stranger.group}, which is for the TAPs this network deletes: ip link set dev ${stranger.name} group default`,
    leftBehind: [],
  });
}

/** Whether a TAP of this bridge is about to be deleted, by this process or an earlier one. */
export function isCondemned(group: number, bridge: number): boolean {
  return groupsOf(bridge).includes(group);
}

function groupsOf(bridge: number): number[] {
  return BASES.map((base) => base | (bridge & 0xffff));
}
