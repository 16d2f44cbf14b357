// What travels between the main thread and a lane's worker: calls and results, all plain data.

import { monotonicMs } from "../clock.js";
import type { KernelFailure } from "../errors.js";
import { failureOf } from "../kernel/kernel.js";

/** The three workers of a network. */
export type LaneName = "create" | "shape" | "reap";

/**
 * One call of a worker. `kernelModule` is where it gets its kernel from; undefined for the real
 * one.
 */
export interface LaneCall<Method extends string, Job> {
  method: Method;
  jobs: readonly Job[];
  kernelModule?: string;
}

/** When a worker did one job, on the clock of clock.ts. */
export interface WorkTime {
  startedMs: number;
  endedMs: number;
}

export type JobResult<Value> = WorkTime &
  ({ ok: true; value: Value } | { ok: false; failure: KernelFailure });

/**
 * Runs jobs one after the other; a job that throws becomes a failure and does not stop the rest.
 */
export function runEach<Job, Value>(
  jobs: readonly Job[],
  run: (job: Job) => Value,
): JobResult<Value>[] {
  return jobs.map((job) => {
    const startedMs = monotonicMs();
    try {
      const value = run(job);
      return { ok: true, value, startedMs, endedMs: monotonicMs() };
    } catch (error) {
      return {
        ok: false,
        failure: failureOf(error, "plan", ""),
        startedMs,
        endedMs: monotonicMs(),
      };
    }
  });
}

/**
 * Runs jobs that are one piece of work for the kernel; `run` returns one failure or null for each.
 */
export function runTogether<Job>(
  jobs: readonly Job[],
  run: (jobs: readonly Job[]) => (KernelFailure | null)[],
): JobResult<undefined>[] {
  const startedMs = monotonicMs();
  let failures: (KernelFailure | null)[];
  try {
    failures = run(jobs);
  } catch (error) {
    const failure = failureOf(error, "plan", "");
    failures = jobs.map(() => failure);
  }
  const time = { startedMs, endedMs: monotonicMs() };
  return failures.map((failure) =>
    failure ? { ok: false, failure, ...time } : { ok: true, value: undefined, ...time },
  );
}
