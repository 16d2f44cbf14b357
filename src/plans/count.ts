// Reads the counters of guests' queues, in one dump of all queues and one of the shaper's classes.
// Runs in the reap lane, so that no TAP goes meanwhile, no class changes hands and no fork waits.

import { classHandle, type NetworkFacts } from "../facts.js";
import type { TcStats } from "../kernel/binding.js";
import type { Kernel } from "../kernel/kernel.js";
import type { TcHandle } from "../kernel/messages.js";

/** Whose counters are asked for. Plain data. */
export interface CountJob {
  facts: Pick<NetworkFacts, "shaper">;
  guests: readonly { ifindex: number; classMinor: number }[];
}

/** Numbers of one guest in Counted: five of the download, five of the upload, and guardDrops. */
export const NUMBERS_PER_GUEST = 11;

export interface Counted {
  /**
   * For each guest of the job in turn; NaN when its TAP is not there. One array of numbers: a
   * thousand objects take the main thread milliseconds to unpack.
   */
  numbers: Float64Array;
  directPackets: number;
}

const ROOT = 0xffff_ffff;
const CLSACT = 0xffff_fff1;

export function count(kernel: Kernel, { facts, guests }: CountJob): Counted {
  const shaper = facts.shaper.ifindex;
  const shaping = new Map<TcHandle, TcStats>();
  const roots = new Map<number, TcStats>();
  const hooks = new Map<number, TcStats>();
  let directPackets = 0;
  for (const { ifindex, parent, stats, htb } of kernel.qdiscs()) {
    if (ifindex === shaper) shaping.set(parent, stats);
    else if (parent === ROOT) roots.set(ifindex, stats);
    else if (parent === CLSACT) hooks.set(ifindex, stats);
    if (ifindex === shaper && parent === ROOT) directPackets = htb?.directPackets ?? 0;
  }
  const classes = new Map(
    (shaping.has(ROOT) ? kernel.classes(shaper) : []).map(({ handle, stats }) => [handle, stats]),
  );
  const numbers = new Float64Array(guests.length * NUMBERS_PER_GUEST).fill(Number.NaN);
  guests.forEach(({ ifindex, classMinor }, i) => {
    const root = roots.get(ifindex);
    if (!root) return;
    const handle = classHandle(classMinor);
    // The leaf is new with each guest; the class may have served others before.
    const upload = inOrder(shaping.get(handle), classes.get(handle)?.overlimits ?? 0);
    const guardDrops = hooks.get(ifindex)?.drops ?? 0;
    numbers.set([...inOrder(root, root.overlimits), ...upload, guardDrops], i * NUMBERS_PER_GUEST);
  });
  return { numbers, directPackets };
}

function inOrder(stats: TcStats | undefined, overlimits: number): number[] {
  const { bytes = 0, packets = 0, drops = 0, backlogBytes = 0 } = stats ?? {};
  return [bytes, packets, drops, overlimits, backlogBytes];
}
