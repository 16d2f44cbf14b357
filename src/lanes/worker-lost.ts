// A worker thread died under a call: thrown to the lane whose jobs the thread had.

import { ForknetError } from "../errors.js";
import type { LaneName } from "./job.js";

export class WorkerLost extends ForknetError {
  constructor(worker: LaneName, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const text = `the ${worker} worker died (${reason}): what it was asked for may or may not have been done`;
    super("ERR_FORKNET_WORKER", text, { cause });
  }
}
