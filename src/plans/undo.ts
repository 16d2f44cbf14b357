// The way back of a plan: steps noted as they are done, run in reverse when a later one fails.

import type { KernelFailure } from "../errors.js";
import { describe } from "../kernel/describe.js";
import { ENODEV, ENOENT, failureOf, type Kernel, mustTalk, Refused } from "../kernel/kernel.js";
import type { Message } from "../kernel/messages.js";

/** What the kernel says of an address that is not there. */
export const EADDRNOTAVAIL = 99;

export class Undo {
  readonly #steps: { what: string; run: () => void }[] = [];

  /** Notes how to take back something that was just done; `what` names it for a person. */
  push(what: string, run: () => void): void {
    this.#steps.push({ what, run });
  }

  /** Notes a message as the way back. */
  pushMessage(kernel: Kernel, what: string, message: Message, device: string): void {
    this.push(what, () => mustTalk(kernel, [message], device));
  }

  /**
   * Runs every step in reverse, also after one failed, and returns `failure` with what is left
   * behind.
   */
  rollBack(failure: KernelFailure): KernelFailure {
    const leftBehind = [...failure.leftBehind];
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        step.run();
      } catch (error) {
        // Already gone is what was wanted; an address says so in its own way.
        const { errno } = failureOf(error, step.what, "");
        if (errno !== ENODEV && errno !== ENOENT && errno !== EADDRNOTAVAIL)
          leftBehind.push(step.what);
      }
    }
    return { ...failure, leftBehind };
  }
}

/** A message and the one that takes it back. */
export interface Step {
  message: Message;
  back: Message;
}

/**
 * Sends messages of which none may fail, and notes the way back of each that was done, or may have
 * been.
 */
export function sendSteps(
  kernel: Kernel,
  steps: readonly Step[],
  device: string,
  undo: Undo,
): void {
  const noteUndo = ({ back }: Step) =>
    undo.pushMessage(kernel, `${describe(back)} on ${device}`, back, device);
  let results: (KernelFailure | null)[];
  try {
    results = kernel.talk(
      steps.map(({ message }) => message),
      device,
    );
  } catch (error) {
    // The answer was lost.
    for (const step of steps) noteUndo(step);
    throw error;
  }
  steps.forEach((step, i) => {
    if (results[i] === null) noteUndo(step);
  });
  const failure = results.find((result) => result !== null);
  if (failure) throw new Refused(failure);
}

/** Runs a plan; when it throws, takes back what it noted and throws a Refused that says so. */
export function undoing<T>(plan: (undo: Undo) => T): T {
  const undo = new Undo();
  try {
    return plan(undo);
  } catch (error) {
    throw new Refused(undo.rollBack(failureOf(error, "plan", "")));
  }
}
