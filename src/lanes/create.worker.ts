// The create lane's worker: opens and destroys networks, makes slots.

import type { NetworkFacts } from "../facts.js";
import { destroy, type OpenJob, open } from "../plans/open.js";
import { createSlot, type SlotSpec } from "../plans/slot.js";
import { type JobResult, type LaneCall, runEach } from "./job.js";
import { workerKernel } from "./worker-kernel.js";

export type CreateCall =
  | LaneCall<"open", OpenJob>
  | (LaneCall<"slots", SlotSpec> & { facts: NetworkFacts })
  | LaneCall<"destroy", NetworkFacts>;

export default async function work(call: CreateCall): Promise<JobResult<unknown>[]> {
  const kernel = await workerKernel(call.kernelModule);
  switch (call.method) {
    case "open":
      return runEach(call.jobs, (job) => open(kernel, job));
    case "slots":
      return runEach(call.jobs, (spec) => createSlot(kernel, call.facts, spec));
    case "destroy":
      return runEach(call.jobs, (facts) => destroy(kernel, facts));
  }
}
