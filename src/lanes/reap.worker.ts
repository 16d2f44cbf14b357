// The reap lane's worker: deletes condemned TAPs and what is left of their flows, looks at what is in
// the kernel, reads counters.

import type { NetworkFacts } from "../facts.js";
import type { Kernel } from "../kernel/kernel.js";
import { type CountJob, count } from "../plans/count.js";
import { type ForgetJob, forget } from "../plans/forget.js";
import { type ReapJob, reap } from "../plans/reap.js";
import { type SurveyJob, survey } from "../plans/survey.js";
import { type JobResult, type LaneCall, runEach, runTogether } from "./job.js";
import { withKernel } from "./worker-kernel.js";

export type ReapCall =
  | (LaneCall<"reap", ReapJob> & { facts: NetworkFacts })
  | LaneCall<"forget", ForgetJob>
  | LaneCall<"survey", SurveyJob>
  | LaneCall<"count", CountJob>
  | LaneCall<"port", undefined>;

export default function work(call: ReapCall): Promise<JobResult<unknown>[]> {
  return withKernel("reap", call, (kernel) => run(kernel, call));
}

function run(kernel: Kernel, call: ReapCall): JobResult<unknown>[] {
  if (call.method === "port") return runEach(call.jobs, () => kernel.port());
  if (call.method === "survey") return runEach(call.jobs, (job) => survey(kernel, job));
  if (call.method === "count") return runEach(call.jobs, (job) => count(kernel, job));
  if (call.method === "forget") return runTogether(call.jobs, (jobs) => forget(kernel, jobs));
  return runTogether(call.jobs, (jobs) => reap(kernel, call.facts, jobs));
}
