// Which file or directory it is, whatever its name: device and inode.

import type { BigIntStats } from "node:fs";

export interface FileId {
  dev: bigint;
  ino: bigint;
}

export function idOf({ dev, ino }: BigIntStats): FileId {
  return { dev, ino };
}

export function isSame(a: FileId | undefined, b: FileId | undefined): boolean {
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}
