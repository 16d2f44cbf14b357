// Lets every operation of a plan fail in turn, with kinds of failure that rotate from operation to
// operation, and holds the kernel against what it was.

import { expect } from "vitest";
import type { KernelFailure } from "../../dist/errors.js";
import { Refused } from "../../dist/kernel/kernel.js";
import { ERRNO, type Faults } from "./faults.js";
import { compareKernelStates, type KernelState, readOpenFiles } from "./kernel-state.js";
import { readEverything } from "./network-state.js";

export interface Plan {
  name: string;
  /** Before every try. */
  prepare?: () => unknown;
  /** Throws Refused, or returns what was refused. */
  run: () => KernelFailure | null;
  /** After every success. */
  clean?: () => unknown;
  /** Clears away what a failed try leaves to its caller; then there is no second try. */
  giveUp?: () => unknown;
  /** A failed try may have done a part, which stays. */
  isPartial?: boolean;
  /** ENODEV is believed: the kernel says so only of a device that is gone, so it has to be gone. */
  believesGone?: boolean;
  /** What rightly makes this plan do something else; ENOMEM takes its place. */
  without?: number[];
}

interface Kind {
  errno: number;
  inject: (faults: Faults, at: number) => void;
  /** The failure names the send: which of its operations were done is not known. */
  isLost?: boolean;
}

const MOST_OPERATIONS = 80;
const REFUSED = ["EPERM", "EBUSY", "ENOBUFS", "EEXIST", "ENODEV", "ENOMEM", "EXFULL", "EAGAIN"];
const UNREADABLE = ["ETIMEDOUT", "EBADMSG", "EMSGSIZE", "ENOBUFS"];

const KINDS: Kind[] = [
  ...REFUSED.map((name) => errnoOf(name)).map((errno) => ({
    errno,
    inject: (faults: Faults, at: number) => faults.refuse({ errno, at }),
  })),
  ...UNREADABLE.map((name) => errnoOf(name)).map((errno) => ({
    errno,
    inject: (faults: Faults, at: number) => faults.loseAnswer(at, errno),
    isLost: true,
  })),
];

/** The TAP that the operation is about is deleted from outside. */
export const GONE: Kind = {
  errno: ERRNO.ENODEV,
  inject: (faults, at) => faults.vanish(at),
};

/**
 * In twelve rounds every operation meets every kind. In these three each meets an unreadable answer
 * and two refusals.
 */
export const ROUNDS =
  process.env.FORKNET_ALL_FAULTS === "1" ? KINDS.map((_, round) => round) : [0, 4, 8];

/** The kinds of one round, for failEach. */
export function kindsOf(plan: Plan, round: number): (at: number) => Kind {
  return (at) => {
    const kind = KINDS[(round + at) % KINDS.length] as Kind;
    if (plan.without?.includes(kind.errno)) return KINDS[REFUSED.indexOf("ENOMEM")] as Kind;
    return plan.believesGone && kind.errno === ERRNO.ENODEV ? GONE : kind;
  };
}

/** Returns how many operations the plan has; each has failed once. */
export function failEach(faults: Faults, plan: Plan, kindAt: (at: number) => Kind): number {
  plan.prepare?.();
  expect(failureOf(plan)).toBeNull();
  const done = shapeOf(state());
  plan.clean?.();
  for (let at = 1; at <= MOST_OPERATIONS; at++) {
    const unprepared = state();
    plan.prepare?.();
    const before = plan.giveUp ? unprepared : state();
    const kind = kindAt(at);
    kind.inject(faults, at);
    let failure = failureOf(plan);
    const { failed, journal } = faults;
    faults.none();
    const operation = journal[at - 1] ?? "";
    const what = `operation ${at} (${operation}, ${kind.isLost ? "lost " : ""}${kind.errno})`;
    if (failure) {
      expect(failure, what).toMatchObject({ errno: kind.errno, leftBehind: [] });
      const isUnread = kind.isLost && operation.startsWith("RTM_");
      // The first of a send to meet a TAP that is gone need not be the one that it went before.
      if (kind === GONE) expect(journal, what).toContain(failure.operation);
      else expect(failure.operation, what).toBe(isUnread ? "recvmsg" : operation);
      plan.giveUp?.();
      if (!plan.isPartial) expect(compareKernelStates(before, state()), what).toEqual([]);
      // A lane repeats what failed with a busy kernel, and a caller what he likes.
      if (!plan.giveUp) failure = failureOf(plan);
    }
    if (!failure || !plan.giveUp) {
      expect(failure, `${what}, again`).toBeNull();
      expect(compareKernelStates(done, shapeOf(state())), `${what}, done`).toEqual([]);
      plan.clean?.();
    }
    if (failed === 0) return at - 1;
  }
  throw new Error(`${plan.name} has no end`);
}

function failureOf({ run }: Plan): KernelFailure | null {
  try {
    return run();
  } catch (error) {
    if (error instanceof Refused) return error.failure;
    throw error;
  }
}

function state(): KernelState {
  return [...readEverything(), ...readOpenFiles()];
}

/** Without what differs from one TAP, map or program to the next of its kind. */
function shapeOf(lines: KernelState): KernelState {
  const numbers = /(index|master|lease of| id) \d+/g;
  // A TAP's own MAC is random; an entry of the forwarding table with it is permanent.
  const macs = /(mac )[0-9a-f]+|(fdb )[0-9a-f]+(?= state 128)/g;
  return lines.map((line) => line.replace(numbers, "$1 N").replace(macs, "$1$2 M")).sort();
}

function errnoOf(name: string): number {
  return ERRNO[name as keyof typeof ERRNO];
}
