// The raw layer's listening sockets, as the C++ addon has them: asked from time to time, they never
// wait. Types only.

/** What a Monitor read, packed; src/kernel/changes.ts unpacks it. */
export interface Heard {
  /** Seven for each change. */
  numbers: Float64Array;
  /** Name and alias of each change that tells what a link is like. */
  texts: string[];
  /** Some were lost. */
  overrun: boolean;
  /** There may be more to read. */
  more: boolean;
}

/** Hears what changes at links, traffic control and neighbours in the thread's namespace. */
export interface Monitor {
  /**
   * Reads at most so many datagrams and never waits. Of several changes of a link only the last is
   * told.
   */
  read(datagrams: number): Heard;
  /** From now on leaves out what these ports cause, and no others. */
  leaveOut(ownPorts: readonly number[]): void;
  close(): void;
}

/** A transaction that changed nftables' rules, by what its process says of itself. */
export interface Generation {
  id: number;
  /** As the first pid namespace numbers it. */
  pid: number;
  /** At most 15 bytes. */
  process: string;
}

/** Hears who changes nftables' rules in the thread's namespace. */
export interface RulesetMonitor {
  /** What waits, in order; `overrun`: some were lost. */
  read(): { generations: Generation[]; overrun: boolean };
  close(): void;
}
