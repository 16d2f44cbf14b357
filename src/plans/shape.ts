// How a live guest's limits change: TBF and HTB class as changes in place (no packet lost), then
// the alias. Runs in the shape lane. A job that is refused half way puts the former limits back.

import type { KernelFailure } from "../errors.js";
import { type NetworkFacts, TBF_HANDLE } from "../facts.js";
import type { ClassClaim } from "../identity/class-pool.js";
import { ENODEV, ENOENT, EOPNOTSUPP, failureOf, type Kernel } from "../kernel/kernel.js";
import type { Ipv4, Mac, Message, TcVerb } from "../kernel/messages.js";
import type { KernelLimits } from "../limits.js";
import { type GroupClass, groupMessage, removalMessages } from "./group.js";
import { joinBridge, portSettings } from "./port.js";
import { classMessages } from "./slot.js";

/**
 * A segmented frame of 64 KB as TBF counts it: every segment with headers, which never double it.
 */
const LARGEST_FRAME_BYTES = 2 * 65_536;
/** Handle of a queue inside the TBF that exists for one message. */
const PASSING_QUEUE = 0x0002_0000;

/**
 * One guest's change. The TAP is named by ifindex: a later TAP of the same name is another device.
 */
export interface ShapeJob {
  tapName: string;
  ifindex: number;
  /** The guest's class, or with `isMove` the one it is going to have when this is done. */
  class: ClassClaim;
  isMove?: boolean;
  /** The class that `class` stands under, where it may not be there yet. */
  group?: GroupClass;
  limits: KernelLimits;
  /**
   * What is in place now, to go back to. Absent when unknown: then class, leaf and TBF are written
   * anew.
   */
  previous?: KernelLimits;
  alias: string;
  /** What the alias says again when the change is refused. */
  previousAlias: string;
  /**
   * Of a warm slot that was just claimed: whether it still stands on the bridge is found out here.
   */
  unproved?: { ip: Ipv4; mac: Mac };
}

/** Applies all jobs in one send and returns one failure or null for each. */
export function shape(
  kernel: Kernel,
  facts: NetworkFacts,
  jobs: readonly ShapeJob[],
): (KernelFailure | null)[] {
  const plans = jobs.map((job) => [
    ...portMessages(facts, job),
    ...(job.group ? [groupMessage(facts, job.group)] : []),
    ...limitMessages(facts, job, job.limits),
  ]);
  const results = send(kernel, facts, jobs, plans.flat());
  let at = 0;
  return jobs.map((job, i) => {
    const end = at + (plans[i] as Message[]).length;
    const own = results.slice(at, end);
    at = end;
    if (job.unproved && own[0]) own[0] = rejoined(kernel, facts, job, own[0]);
    const failure = own.find((result) => result !== null) ?? null;
    return failure && restored(kernel, facts, job, failure);
  });
}

/** The messages of one job, TBF and class first: the alias only tells what they say. */
export function limitMessages(facts: NetworkFacts, job: ShapeJob, limits: KernelLimits): Message[] {
  const alias: Message = {
    op: "link.set",
    ifindex: job.ifindex,
    alias: job.alias,
    ...(job.unproved && { up: true }),
  };
  const verb = job.previous ? "change" : "replace";
  const isNew = job.isMove && !job.class.exists && !job.class.wasSent;
  const toClass = isNew ? "add" : verb;
  return [
    ...tbfMessages(job, limits, verb),
    ...classMessages(facts, job.class, limits, toClass),
    alias,
  ];
}

/**
 * The port's settings once more: 8 us when it has them, EOPNOTSUPP when the TAP was taken off its
 * bridge.
 */
function portMessages(facts: NetworkFacts, { ifindex, unproved }: ShapeJob): Message[] {
  return unproved ? [{ op: "port.set", ifindex, ...portSettings(facts) }] : [];
}

/** Puts a TAP that somebody took off the bridge back on it. */
function rejoined(
  kernel: Kernel,
  facts: NetworkFacts,
  job: ShapeJob,
  failure: KernelFailure,
): KernelFailure | null {
  if (failure.errno !== EOPNOTSUPP || !job.unproved) return failure;
  const messages = joinBridge(facts, job.ifindex, job.unproved);
  return send(kernel, facts, [job], messages).find((result) => result !== null) ?? null;
}

/**
 * TBF cuts frames to its bucket when it queues them and never again: one that waits there while the
 * bucket shrinks below it is never sent, nor is anything behind it (a download of 60 mbit changed
 * to 8 stood still in 8 of 8 runs). Then the queue is emptied first. Its own queue has no handle to
 * delete it by, so one with a handle takes its place and is deleted; the change that follows finds
 * no queue and makes a new one.
 */
export function tbfMessages(
  {
    ifindex,
    previous,
    limits: wished,
  }: Pick<ShapeJob, "ifindex" | "previous"> & { limits: Pick<KernelLimits, "tbf"> },
  { tbf }: Pick<KernelLimits, "tbf">,
  verb: TcVerb,
): Message[] {
  const change: Message = { op: "qdisc.tbf", verb, ifindex, handle: TBF_HANDLE, ...tbf };
  const longest = Math.min(previous?.tbf.burstBytes ?? LARGEST_FRAME_BYTES, LARGEST_FRAME_BYTES);
  // The same on the way back, so that a refusal in between leaves no other kind of queue.
  if (wished.tbf.burstBytes >= longest) return [change];
  const inside = { ifindex, parent: TBF_HANDLE | 1, handle: PASSING_QUEUE };
  return [
    { op: "qdisc.bfifo", verb: "replace", ...inside, limitBytes: tbf.limitBytes },
    { op: "qdisc.delete", ...inside },
    change,
  ];
}

/** Puts the former limits back where they are known, and the alias with them. */
function restored(
  kernel: Kernel,
  facts: NetworkFacts,
  job: ShapeJob,
  failure: KernelFailure,
): KernelFailure {
  const alias = job.previousAlias;
  const back = job.isMove
    ? moveBackMessages(facts, { ...job, alias })
    : job.previous
      ? limitMessages(facts, { ...job, alias }, job.previous)
      : [{ op: "link.set" as const, ifindex: job.ifindex, alias }];
  const results = send(kernel, facts, [job], back);
  const isGone = (result: KernelFailure | null) =>
    result === null || result.errno === ENODEV || result.errno === ENOENT;
  return results.every(isGone) ? failure : { ...failure, leftBehind: [`limits of ${job.tapName}`] };
}

/** The class the guest is in was not touched; one that was added for it goes. */
function moveBackMessages(facts: NetworkFacts, job: ShapeJob): Message[] {
  return [
    ...(job.previous ? tbfMessages(job, job.previous, "change") : []),
    ...(job.class.exists ? [] : removalMessages(facts, [job.class.minor])),
    { op: "link.set", ifindex: job.ifindex, alias: job.alias },
  ];
}

/** Like talk, with a lost answer as everybody's failure: any of the messages may have been done. */
function send(
  kernel: Kernel,
  facts: NetworkFacts,
  jobs: readonly ShapeJob[],
  messages: readonly Message[],
) {
  try {
    return kernel.talk(messages, (message) => deviceOf(facts, jobs, message));
  } catch (error) {
    const failure = failureOf(error, "send", "");
    return messages.map(() => failure);
  }
}

function deviceOf(facts: NetworkFacts, jobs: readonly ShapeJob[], message: Message): string {
  const ifindex = "ifindex" in message ? message.ifindex : 0;
  if (ifindex === facts.shaper.ifindex) return facts.shaper.name;
  return jobs.find((job) => job.ifindex === ifindex)?.tapName ?? "";
}
