// How TAPs go: marked with the network's own link group, then deleted by group in one message,
// which costs a fortieth of deleting them one by one. Runs in the reap lane. Deletes only by
// ifindex.

import type { KernelFailure } from "../errors.js";
import type { NetworkFacts } from "../facts.js";
import { ENODEV, ENOENT, failureOf, type Kernel } from "../kernel/kernel.js";
import type { Ipv4, Mac, Message } from "../kernel/messages.js";

/** One TAP to delete, and the permanent neighbour that would outlive it. */
export interface ReapJob {
  tapName: string;
  ifindex: number;
  /** Absent: the neighbour entry is somebody else's and stays. */
  ip?: Ipv4;
  /** With it a refused deletion can put the neighbour entry back; a leftover's does not matter. */
  mac?: Mac;
}

/**
 * Deletes the TAPs and their neighbour entries; one failure or null for each. A TAP that is gone is
 * a success; one that is refused is as it was.
 */
export function reap(
  kernel: Kernel,
  facts: NetworkFacts,
  jobs: readonly ReapJob[],
): (KernelFailure | null)[] {
  // A release and a reconcile may ask for the same TAP: what is pardoned for the one must not look
  // deleted to the other.
  const byTap = new Map<number, ReapJob>();
  for (const job of jobs) byTap.set(job.ifindex, { ...byTap.get(job.ifindex), ...job });
  const results = reapEach(kernel, facts, [...byTap.values()]);
  const order = [...byTap.keys()];
  return jobs.map(({ ifindex }) => results[order.indexOf(ifindex)] ?? null);
}

function reapEach(
  kernel: Kernel,
  facts: NetworkFacts,
  jobs: readonly ReapJob[],
): (KernelFailure | null)[] {
  const results = jobs.map((job) => condemn(facts, job));
  settle(
    results,
    send(
      kernel,
      results.flatMap(({ messages }) => messages),
      jobs,
      facts,
    ),
  );
  // Before the group goes: a TAP that is to stay must not be in it.
  const pardons = results.map(({ job, failure }) => failure && pardon(kernel, facts, job, failure));
  const rest = results.filter(({ failure }) => failure === null).map(({ job }) => job);
  const isSafe = pardons.every((failure) => !failure || failure.leftBehind.length === 0);
  const refused =
    rest.length > 0 ? deleteAll(kernel, facts, rest, isSafe) : new Map<ReapJob, KernelFailure>();
  return jobs.map((job, i) => {
    const failure = refused.get(job);
    return failure ? pardon(kernel, facts, job, failure) : (pardons[i] ?? null);
  });
}

interface Condemned {
  job: ReapJob;
  messages: Message[];
  failure: KernelFailure | null;
}

function condemn(facts: NetworkFacts, job: ReapJob): Condemned {
  const mark: Message = { op: "link.set", ifindex: job.ifindex, group: facts.condemnedGroup };
  return { job, messages: [mark, ...neighborless(facts, job)], failure: null };
}

function neighborless(facts: NetworkFacts, { ip }: ReapJob): Message[] {
  return ip === undefined ? [] : [{ op: "neighbor.delete", ifindex: facts.bridge.ifindex, ip }];
}

/** Notes the first answer of each job that is more than "is gone already". */
function settle(results: readonly Condemned[], answers: readonly (KernelFailure | null)[]): void {
  let at = 0;
  for (const result of results) {
    const own = answers.slice(at, at + result.messages.length);
    at += own.length;
    result.failure = own.find((failure) => failure && !isGone(failure)) ?? null;
  }
}

/** Deletes what carries the mark, and returns who was refused. */
function deleteAll(
  kernel: Kernel,
  facts: NetworkFacts,
  jobs: readonly ReapJob[],
  byGroup: boolean,
) {
  const refused = new Map<ReapJob, KernelFailure>();
  if (byGroup) {
    const group: Message = { op: "link.deleteGroup", group: facts.condemnedGroup };
    const [failure] = send(kernel, [group], jobs, facts);
    // ENODEV: nothing in the group was left.
    if (!failure || isGone(failure)) return refused;
  }
  // One undeletable link fails the whole group: each goes alone, and only the culprit stays.
  for (const job of jobs) {
    const [failure] = send(kernel, [{ op: "link.delete", ifindex: job.ifindex }], jobs, facts);
    if (failure && !isGone(failure)) refused.set(job, failure);
  }
  return refused;
}

/**
 * Takes the mark and the loss of the neighbour entry back, and tells so. A TAP that is gone all the
 * same is a success.
 */
function pardon(
  kernel: Kernel,
  facts: NetworkFacts,
  job: ReapJob,
  failure: KernelFailure,
): KernelFailure | null {
  const { ifindex, tapName, ip, mac } = job;
  const jobs = [job];
  const [marked] = send(kernel, [{ op: "link.set", ifindex, group: 0 }], jobs, facts);
  if (marked?.errno === ENODEV) {
    const answer = send(kernel, neighborless(facts, job), jobs, facts)[0] ?? null;
    return answer && isGone(answer) ? null : answer;
  }
  const leftBehind = marked ? [`link group of ${tapName}`] : [];
  if (ip !== undefined && mac !== undefined) {
    const back: Message = { op: "neighbor.set", ifindex: facts.bridge.ifindex, ip, mac };
    if (send(kernel, [back], jobs, facts)[0])
      leftBehind.push(`${tapName} without its neighbour entry`);
  }
  return { ...failure, leftBehind };
}

/**
 * Like talk, with a lost answer as everybody's failure: what was done then is found out by taking
 * it back.
 */
function send(
  kernel: Kernel,
  messages: readonly Message[],
  jobs: readonly ReapJob[],
  facts: NetworkFacts,
) {
  try {
    return kernel.talk(messages, (message) => nameOf(jobs, message) ?? facts.bridge.name);
  } catch (error) {
    const failure = failureOf(error, "send", facts.bridge.name);
    return messages.map(() => failure);
  }
}

function isGone({ errno }: KernelFailure): boolean {
  return errno === ENODEV || errno === ENOENT;
}

function nameOf(jobs: readonly ReapJob[], message: Message): string | undefined {
  const ifindex = "ifindex" in message ? message.ifindex : 0;
  return jobs.find((job) => job.ifindex === ifindex)?.tapName;
}
