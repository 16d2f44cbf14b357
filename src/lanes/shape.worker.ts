// The shape lane's worker: changes limits of live guests, and puts right what differs at them.

import type { NetworkFacts } from "../facts.js";
import type { Kernel } from "../kernel/kernel.js";
import { type MendJob, mend } from "../plans/mend.js";
import { type ShapeJob, shape } from "../plans/shape.js";
import { type JobResult, type LaneCall, runEach, runTogether } from "./job.js";
import { withKernel } from "./worker-kernel.js";

export type ShapeCall =
  | ((LaneCall<"shape", ShapeJob> | LaneCall<"mend", MendJob>) & { facts: NetworkFacts })
  | LaneCall<"port", undefined>;

export default function work(call: ShapeCall): Promise<JobResult<unknown>[]> {
  return withKernel("shape", call, (kernel) => run(kernel, call));
}

function run(kernel: Kernel, call: ShapeCall): JobResult<unknown>[] {
  if (call.method === "port") return runEach(call.jobs, () => kernel.port());
  if (call.method === "mend")
    return runTogether(call.jobs, (jobs) => mend(kernel, call.facts, jobs));
  return runTogether(call.jobs, (jobs) => shape(kernel, call.facts, jobs));
}
