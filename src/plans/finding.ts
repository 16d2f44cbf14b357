// What a comparison of the kernel with the network's knowledge says.

import type { Message } from "../kernel/messages.js";

/** One thing that is not as it should be. */
export interface Difference {
  /** "guard", "tbf", "class", "port", "up", ... */
  what: string;
  /** What should be there. */
  expected: string;
  /** What is; "nothing" when the kernel has none. */
  found: string;
}

/** A difference and the messages that mend it. Plain data. */
export interface Finding extends Difference {
  repair: readonly Message[];
}

/** Something of others that stands in the network's way, and that forknet does not change. */
export interface Warning {
  /** "route", "address", ... */
  what: string;
  /** What there is, in a sentence. */
  text: string;
}

/** A warning, or the reason of a refusal, with its remedy apart. */
export interface Obstacle extends Warning {
  /** The command that takes it away. */
  mend: string;
}

/** The warning about an obstacle of a network that lives. */
export function warningOf({ what, text, mend }: Obstacle): Warning {
  return { what, text: `${text}: ${mend}` };
}

type Told = string | number | boolean | undefined;

/** "nothing" where the kernel has none. */
export function finding(
  what: string,
  expected: Told,
  actual: Told | undefined,
  repair: readonly Message[],
): Finding {
  return { what, expected: String(expected), found: String(actual ?? "nothing"), repair };
}
