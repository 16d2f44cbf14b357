// Jobs that are made only when the worker is called: the fork that asks for one does not wait for
// it, a thousand that wait do not hold theirs, and it knows the latest. Made again for every attempt.

import { monotonicMs } from "../clock.js";
import { ForknetError } from "../errors.js";
import { failureOf } from "../kernel/kernel.js";
import type { JobResult } from "./job.js";

export type Late<Job> = () => Job;

/** Makes the jobs and hands them on. One that cannot be made fails alone. */
export async function makeJobs<Job, Value>(
  late: readonly Late<Job>[],
  run: (jobs: readonly Job[]) => Promise<JobResult<Value>[]>,
): Promise<JobResult<Value>[]> {
  const jobs: Job[] = [];
  const unmade = late.map((make) => {
    try {
      jobs.push(make());
      return undefined;
    } catch (error) {
      return unmadeJob(error);
    }
  });
  const results = jobs.length > 0 ? await run(jobs) : [];
  return unmade.map((failed) => failed ?? (results.shift() as JobResult<Value>));
}

function unmadeJob(error: unknown): JobResult<never> {
  const code = error instanceof ForknetError ? { code: error.code } : {};
  const failure = { ...failureOf(error, "", ""), ...code };
  const atMs = monotonicMs();
  return { ok: false, failure, startedMs: atMs, endedMs: atMs };
}
