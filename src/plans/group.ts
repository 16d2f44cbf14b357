// The inner HTB class of a group, between the capacity class and its guests' classes: what makes and
// changes it, and what takes it away with the classes under it.

import { classHandle, type NetworkFacts } from "../facts.js";
import { CAPACITY_MINOR } from "../identity/class-pool.js";
import type { Message } from "../kernel/messages.js";
import { type GroupLimits, groupRates, HTB_QUANTUM_BYTES } from "../limits.js";

/** A group whose class is, or is to be, in the kernel. Plain data. */
export interface GroupClass {
  name: string;
  minor: number;
  limits: GroupLimits | null;
}

/** Adds the class or changes its limits in place; no packet is lost by it. */
export function groupMessage(facts: NetworkFacts, { minor, limits }: GroupClass): Message {
  return {
    op: "class.htb",
    verb: "replace",
    ifindex: facts.shaper.ifindex,
    parent: classHandle(CAPACITY_MINOR),
    handle: classHandle(minor),
    ...groupRates(limits),
    quantumBytes: HTB_QUANTUM_BYTES,
  };
}

/**
 * A queue whose handle proves that the class is ours, until a class stands under it and the queue
 * goes: a process may die in between.
 */
export function proofMessage(facts: NetworkFacts, { minor }: GroupClass): Message {
  return {
    op: "qdisc.bfifo",
    verb: "replace",
    ifindex: facts.shaper.ifindex,
    parent: classHandle(minor),
    handle: groupProof(minor),
    limitBytes: HTB_QUANTUM_BYTES,
  };
}

/** A number of its own: a guest's leaf under the same class is another queue. */
function groupProof(minor: number): number {
  return (minor << 16) >>> 0;
}

/** In this order: the kernel keeps a class that others stand under. */
export function removalMessages(facts: NetworkFacts, minors: readonly number[]): Message[] {
  const { ifindex } = facts.shaper;
  return minors.map((minor) => ({ op: "class.delete", ifindex, handle: classHandle(minor) }));
}
