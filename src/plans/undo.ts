// The way back of a plan: steps noted as they are done, run in reverse when a later one fails.

import type { KernelFailure } from "../errors.js";
import { ENODEV, ENOENT, failureOf, type Kernel, mustTalk, Refused } from "../kernel/kernel.js";
import type { Message } from "../kernel/messages.js";

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

  /** Runs every step in reverse, also after one failed, and returns `failure` with what is left behind. */
  rollBack(failure: KernelFailure): KernelFailure {
    const leftBehind = [...failure.leftBehind];
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        step.run();
      } catch (error) {
        // Already gone is what was wanted.
        const { errno } = failureOf(error, step.what, "");
        if (errno !== ENODEV && errno !== ENOENT) leftBehind.push(step.what);
      }
    }
    return { ...failure, leftBehind };
  }
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
