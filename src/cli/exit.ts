// Exit codes of the command: what a script can tell apart. docs/cli.md and the help list them.

import { ForknetError, type ForknetErrorCode } from "../errors.js";

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  permission: 4,
  conflict: 5,
  differs: 6,
} as const;

/** Lines of the help. */
export const EXIT_TEXTS: readonly (readonly [number, string])[] = [
  [EXIT.done, "done, nothing wrong"],
  [EXIT.failed, "it failed; the message says why"],
  [EXIT.usage, "wrong arguments or values; nothing was changed"],
  [EXIT.notFound, "no such guest, or no such network"],
  [EXIT.permission, "a privilege is missing"],
  [EXIT.conflict, "another process holds the network and cannot be asked, or does not answer"],
  [EXIT.differs, "verify found differences"],
];

const OF_CODE: Partial<Record<ForknetErrorCode, number>> = {
  ERR_FORKNET_CONFIG: EXIT.usage,
  ERR_FORKNET_NOT_FOUND: EXIT.notFound,
  ERR_FORKNET_PERMISSION: EXIT.permission,
  ERR_FORKNET_CONFLICT: EXIT.conflict,
};

export function exitCodeOf(error: unknown): number {
  return (error instanceof ForknetError && OF_CODE[error.code]) || EXIT.failed;
}
