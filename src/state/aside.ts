// What becomes of a file that cannot be used as it is: it keeps another name, for a person to look
// at.

import { linkSync, renameSync } from "node:fs";

/** Standby leases, or limits of groups, on disk that could not be used as they were. */
export interface StoreDamage {
  /** The file, and what was wrong with it. */
  reason: string;
  /** Where they are now, for a person to look at; "" when nothing is left of them. */
  movedTo: string;
  /** How many of them were read, or are in memory, and go on. */
  kept: number;
}

/** A name beside `name` that nothing has: `standby.leases.damaged-20261123T071426123Z` */
export function asideName(name: string, isTaken: (name: string) => boolean): string {
  const stem = `${name}.damaged-${new Date().toISOString().replace(/[-:.]/g, "")}`;
  for (let i = 1; ; i++) {
    const free = i === 1 ? stem : `${stem}-${i}`;
    if (!isTaken(free)) return free;
  }
}

/** Keeps what is at `from` under another name; there it stays until the new file takes its place. */
export function moveAside(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    // A directory, or a file system without links.
    renameSync(from, to);
  }
}
