// A slot whose worker died while it was made: nobody knows how far it came, and nobody ran its undo.

import { ForknetError } from "../errors.js";
import type { Remains } from "../identity/stranded.js";
import { WorkerLost } from "../lanes/worker-lost.js";
import type { Parts } from "../parts.js";

/**
 * Takes away what may be left, and resolves with the error to reject with: `error` itself when the
 * kernel is as it was, ROLLBACK when that could not be brought about. Other errors are handed back
 * untouched.
 */
export async function wiped(
  { lanes, options, metrics }: Pick<Parts, "lanes" | "options" | "metrics">,
  error: Error,
  remains: Remains,
): Promise<Error> {
  if (!(error instanceof WorkerLost)) return error;
  try {
    if (await lanes.wipe(options.subnet, remains)) metrics.reaped("tap", "failed_create");
    return error;
  } catch (refused) {
    const left = `TAP ${remains.tapName}`;
    const text = `${error.message}; and ${left} could not be taken away: ${(refused as Error).message}`;
    return new ForknetError("ERR_FORKNET_ROLLBACK", text, { leftBehind: [left], cause: error });
  }
}
