// The state directory of a network: made once, and what it means when it cannot be used. What is in
// it: the lock file (process-lock.ts) and the standby leases (standby-store.ts).

import { closeSync, fsyncSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { ForknetError, type ForknetErrorFields } from "../errors.js";

/** Makes the directory (0700); it is there after a loss of power, too. */
export function makeStateDir(stateDir: string): void {
  try {
    const first = mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    for (let dir = stateDir; dir !== dirname(first); ) {
      dir = dirname(dir);
      syncDirectory(dir);
    }
  } catch (error) {
    throw stateDirError(stateDir, error);
  }
}

/** A file that was made or renamed is durable only when its directory is, too. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * PERMISSION when the directory may not be written, CONFIG for any other reason that it cannot be
 * used.
 */
export function stateDirError(stateDir: string, error: unknown): ForknetError {
  const { code } = error as NodeJS.ErrnoException;
  const text = `cannot write in stateDir ${stateDir} (${code})`;
  return new ForknetError(isDenied(code) ? "ERR_FORKNET_PERMISSION" : "ERR_FORKNET_CONFIG", text, {
    cause: error,
  });
}

/**
 * What a write is told that the disk refused, full or failing: KERNEL, or PERMISSION when it has
 * become read-only.
 */
export function diskError(stateDir: string, error: unknown): ForknetError {
  const { code, errno, syscall } = error as NodeJS.ErrnoException;
  const fields: ForknetErrorFields = { cause: error };
  if (errno !== undefined) Object.assign(fields, { errno, errnoName: code });
  if (syscall !== undefined) fields.syscall = syscall;
  const text = `cannot write the standby leases in ${stateDir} (${code ?? String(error)})`;
  return new ForknetError(
    isDenied(code) ? "ERR_FORKNET_PERMISSION" : "ERR_FORKNET_KERNEL",
    text,
    fields,
  );
}

function isDenied(code: string | undefined): boolean {
  return code === "EACCES" || code === "EPERM" || code === "EROFS";
}
