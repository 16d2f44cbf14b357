// What becomes of a file that cannot be read as it should: it keeps another name, for a person to
// look at.

import { existsSync, linkSync, lstatSync, renameSync } from "node:fs";

/** `standby.leases.damaged-20261123T071426123Z` */
export function asideName(path: string): string {
  return `${path}.damaged-${new Date().toISOString().replace(/[-:.]/g, "")}`;
}

/** Keeps what is at `path` under another name; there it stays until the new file takes its place. */
export function aside(path: string): string {
  const name = asideName(path);
  try {
    linkSync(path, name);
  } catch {
    // A directory, or a file system without links.
    renameSync(path, name);
  }
  return name;
}

/** A symbolic link that leads nowhere is there, too. */
export function isThere(path: string): boolean {
  return existsSync(path) || lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
