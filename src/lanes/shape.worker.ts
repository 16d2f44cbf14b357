// The shape lane's worker: changes limits of live guests.

import type { NetworkFacts } from "../facts.js";
import { type ShapeJob, shape } from "../plans/shape.js";
import { type JobResult, type LaneCall, runTogether } from "./job.js";
import { workerKernel } from "./worker-kernel.js";

export type ShapeCall = LaneCall<"shape", ShapeJob> & { facts: NetworkFacts };

export default async function work(call: ShapeCall): Promise<JobResult<undefined>[]> {
  const kernel = await workerKernel(call.kernelModule);
  return runTogether(call.jobs, (jobs) => shape(kernel, call.facts, jobs));
}
