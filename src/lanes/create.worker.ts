// The create lane's worker: opens and destroys networks, makes slots, tells what is still there.

import type { NetworkFacts } from "../facts.js";
import type { Subnet } from "../identity/ipv4.js";
import type { Kernel } from "../kernel/kernel.js";
import { destroy } from "../plans/destroy.js";
import { type Candidates, confirm } from "../plans/leftovers.js";
import { check, type OpenJob, open, restore } from "../plans/open.js";
import { rebindSlot } from "../plans/rebind.js";
import { createSlot, type SlotSpec } from "../plans/slot.js";
import { type WipeJob, wipe } from "../plans/wipe.js";
import { type JobResult, type LaneCall, runEach } from "./job.js";
import { withKernel } from "./worker-kernel.js";

export type CreateCall =
  | LaneCall<"check", OpenJob>
  | LaneCall<"open", OpenJob>
  | (LaneCall<"slots", SlotSpec> & { facts: NetworkFacts })
  | LaneCall<"restore", OpenJob & { facts: NetworkFacts }>
  | LaneCall<"confirm", Candidates & { facts: NetworkFacts; subnet: Subnet }>
  | LaneCall<"wipe", WipeJob>
  | LaneCall<"port", undefined>
  | LaneCall<"destroy", { facts: NetworkFacts; subnet: Subnet }>;

export default function work(call: CreateCall): Promise<JobResult<unknown>[]> {
  return withKernel("create", call, (kernel) => run(kernel, call));
}

function run(kernel: Kernel, call: CreateCall): JobResult<unknown>[] {
  switch (call.method) {
    case "check":
      return runEach(call.jobs, (job) => check(kernel, job));
    case "open":
      return runEach(call.jobs, (job) => open(kernel, job));
    case "slots":
      return runEach(call.jobs, (spec) =>
        spec.former
          ? rebindSlot(kernel, call.facts, spec.former, spec)
          : createSlot(kernel, call.facts, spec),
      );
    case "restore":
      return runEach(call.jobs, (job) => restore(kernel, job));
    case "confirm":
      return runEach(call.jobs, (job) => confirm(kernel, job));
    case "wipe":
      return runEach(call.jobs, (job) => wipe(kernel, job));
    case "port":
      return runEach(call.jobs, () => kernel.port());
    case "destroy":
      return runEach(call.jobs, ({ facts, subnet }) => destroy(kernel, facts, subnet));
  }
}
