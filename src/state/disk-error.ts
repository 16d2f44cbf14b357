// What a refusal of the disk becomes: one error for a directory that cannot be used, one for a write
// that failed, and whether such a write may be on the disk all the same.

import { ForknetError, type ForknetErrorFields } from "../errors.js";

/**
 * PERMISSION when the directory may not be written, CONFIG for any other reason that it cannot be
 * used. An error of ours stays as it is.
 */
export function stateDirError(stateDir: string, error: unknown): ForknetError {
  if (error instanceof ForknetError) return error;
  const { code } = error as NodeJS.ErrnoException;
  const text = `cannot write in stateDir ${stateDir} (${code})`;
  return new ForknetError(isDenied(code) ? "ERR_FORKNET_PERMISSION" : "ERR_FORKNET_CONFIG", text, {
    cause: error,
  });
}

/**
 * Maps a failed disk write to KERNEL, or to PERMISSION on a disk that has become read-only. An
 * error of ours stays as it is.
 */
export function diskError(stateDir: string, error: unknown): ForknetError {
  if (error instanceof ForknetError) return error;
  const { code, errno, syscall } = error as NodeJS.ErrnoException;
  const fields: ForknetErrorFields = { cause: error };
  if (errno !== undefined) Object.assign(fields, { errno, errnoName: code });
  if (syscall !== undefined) fields.syscall = syscall;
  const text = `cannot write in stateDir ${stateDir} (${code ?? String(error)})`;
  return new ForknetError(
    isDenied(code) ? "ERR_FORKNET_PERMISSION" : "ERR_FORKNET_KERNEL",
    text,
    fields,
  );
}

const doubtful = new WeakSet<Error>();

/** Marks the error of a write that may be found on the disk. */
export function markDoubtful(error: unknown): Error {
  const marked = error as Error;
  doubtful.add(marked);
  return marked;
}

export function isDoubtful(error: unknown): boolean {
  return doubtful.has(error as Error);
}

function isDenied(code: string | undefined): boolean {
  return code === "EACCES" || code === "EPERM" || code === "EROFS";
}
