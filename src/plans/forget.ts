// Deletes flows from connection tracking. Runs in the reap lane's thread.

import type { KernelFailure } from "../errors.js";
import type { Subnet } from "../identity/ipv4.js";
import type { Kernel } from "../kernel/kernel.js";
import type { Ipv4 } from "../kernel/messages.js";

/** Of one address, or of all of a subnet's but those that are kept. Plain data. */
export type ForgetJob = Ipv4 | { subnet: Subnet; kept: readonly Ipv4[] };

/** All or nothing: null for each job. Throws Refused. */
export function forget(kernel: Kernel, jobs: readonly ForgetJob[]): (KernelFailure | null)[] {
  const ips = jobs.filter((job) => typeof job === "number");
  if (ips.length > 0) kernel.forgetFlows(ips);
  for (const job of jobs) if (typeof job === "object") kernel.forgetFlowsBut(job.kept, job.subnet);
  return jobs.map(() => null);
}
