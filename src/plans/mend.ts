// How what differs is put right: the messages that survey.ts found missing, for one device at a
// time. Runs in the shape lane.

import type { KernelFailure } from "../errors.js";
import type { NetworkFacts } from "../facts.js";
import type { TapOwner } from "../identity/tap-owner.js";
import { ENODEV, ENOENT, failureOf, type Kernel } from "../kernel/kernel.js";
import type { Message } from "../kernel/messages.js";
import { giveTap } from "./give.js";
import { talkRenaming } from "./rename.js";

/** What one guest, or the network itself, lacks. */
export interface MendJob {
  /** The device it is about; messages to the shaper are told apart. */
  device: string;
  messages: readonly Message[];
  /** Who is to have the device, a TAP. */
  give?: { ifindex: number; to: TapOwner };
}

/**
 * Sends all messages of each job, also after one was refused: every one makes the guest more what
 * it should be. A class that is to go and is not there is no failure. Returns the first failure of
 * each, or null.
 */
export function mend(
  kernel: Kernel,
  facts: NetworkFacts,
  jobs: readonly MendJob[],
): (KernelFailure | null)[] {
  return jobs.map(({ device, messages, give }) => {
    const deviceOf = (message: Message) =>
      "ifindex" in message && message.ifindex === facts.shaper.ifindex ? facts.shaper.name : device;
    try {
      const failures = talkRenaming(kernel, messages, deviceOf);
      if (give) giveTap(kernel, give.ifindex, device, give.to);
      return failures.find((failure, i) => failure && !isGone(messages[i], failure)) ?? null;
    } catch (error) {
      return failureOf(error, "send", device);
    }
  });
}

/** Somebody else has deleted what was to be deleted, or the device it was on. */
function isGone(message: Message | undefined, { errno }: KernelFailure): boolean {
  return (errno === ENOENT || errno === ENODEV) && message?.op.endsWith(".delete") === true;
}
