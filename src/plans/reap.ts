// How TAPs go: marked with the network's own link group, then deleted by group in one message, which costs a
// fortieth of deleting them one by one. Runs in the reap lane. Deletes only by ifindex.

import type { KernelFailure } from "../errors.js";
import type { NetworkFacts } from "../facts.js";
import { ENODEV, ENOENT, type Kernel } from "../kernel/kernel.js";
import type { Ipv4, Message } from "../kernel/messages.js";

/** One TAP to delete, and the permanent neighbour that would outlive it. */
export interface ReapJob {
  tapName: string;
  ifindex: number;
  ip: Ipv4;
}

/** Deletes the TAPs and their neighbour entries; one failure or null for each. A TAP that is gone is a success. */
export function reap(kernel: Kernel, facts: NetworkFacts, jobs: readonly ReapJob[]): (KernelFailure | null)[] {
  const bridge = facts.bridge.ifindex;
  const marks: Message[] = jobs.map(({ ifindex }) => ({ op: "link.set", ifindex, group: facts.condemnedGroup }));
  const neighbors: Message[] = jobs.map(({ ip }) => ({ op: "neighbor.delete", ifindex: bridge, ip }));
  const marked = kernel.talk(marks, (message) => nameOf(jobs, message));
  const results = marked.map((failure) => (failure?.errno === ENODEV ? null : failure));
  if (marked.some((failure) => failure === null)) {
    const [failure] = kernel.talk([{ op: "link.deleteGroup", group: facts.condemnedGroup }], facts.bridge.name);
    // One undeletable link fails the whole group: then each goes alone, and only the culprit stays.
    if (failure) retryOneByOne(kernel, jobs, marked, results);
  }
  kernel.talk(neighbors, facts.bridge.name).forEach((failure, i) => {
    const isGone = failure === null || failure.errno === ENOENT || failure.errno === ENODEV;
    if (!isGone) results[i] ??= failure;
  });
  return results;
}

function retryOneByOne(
  kernel: Kernel,
  jobs: readonly ReapJob[],
  marked: readonly (KernelFailure | null)[],
  results: (KernelFailure | null)[],
): void {
  jobs.forEach(({ ifindex, tapName }, i) => {
    if (marked[i] !== null) return;
    const [failure] = kernel.talk([{ op: "link.delete", ifindex }], tapName);
    results[i] = failure && failure.errno !== ENODEV ? failure : null;
  });
}

function nameOf(jobs: readonly ReapJob[], message: Message): string {
  const ifindex = "ifindex" in message ? message.ifindex : 0;
  return jobs.find((job) => job.ifindex === ifindex)?.tapName ?? "";
}
