// The reap lane's worker: deletes condemned TAPs.

import type { NetworkFacts } from "../facts.js";
import { type ReapJob, reap } from "../plans/reap.js";
import { type JobResult, type LaneCall, runTogether } from "./job.js";
import { workerKernel } from "./worker-kernel.js";

export type ReapCall = LaneCall<"reap", ReapJob> & { facts: NetworkFacts };

export default async function work(call: ReapCall): Promise<JobResult<undefined>[]> {
  const kernel = await workerKernel(call.kernelModule);
  return runTogether(call.jobs, (jobs) => reap(kernel, call.facts, jobs));
}
