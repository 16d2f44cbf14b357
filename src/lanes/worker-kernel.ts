// The kernel of a worker thread: made at the first call and kept for the thread's life.

import { monotonicMs } from "../clock.js";
import { createKernel, failureOf, type Kernel } from "../kernel/kernel.js";
import type { JobResult, LaneCall, LaneName } from "./job.js";

let kernel: Promise<Kernel> | undefined;

/**
 * After an exception that nobody caught Node lets a thread run on for a while, in which its calls of
 * the addon give nothing back.
 */
let isEnding = false;
process.once("exit", () => {
  isEnding = true;
});

/**
 * What a worker answers to a call; nothing when its thread is ending. Without a kernel (no addon, no
 * socket) every job fails with the reason and none is begun; the next call tries again.
 */
export async function withKernel(
  worker: LaneName,
  { jobs, kernelModule }: LaneCall<string, unknown>,
  run: (kernel: Kernel) => JobResult<unknown>[],
): Promise<JobResult<unknown>[]> {
  let made: Kernel;
  try {
    kernel ??= kernelModule === undefined ? real() : replaced(worker, kernelModule);
    made = await kernel;
  } catch (error) {
    kernel = undefined;
    const failure = failureOf(error, "socket", "");
    const atMs = monotonicMs();
    return jobs.map(() => ({ ok: false, failure, startedMs: atMs, endedMs: atMs }));
  }
  const results = isEnding ? [] : run(made);
  // What was thrown meanwhile, outside of every job, is thrown now.
  await Promise.resolve();
  return isEnding ? new Promise(() => {}) : results;
}

async function real(): Promise<Kernel> {
  return createKernel();
}

/** A module whose `createKernel` stands in for the real one: the seam for fault injection. */
async function replaced(worker: LaneName, module: string): Promise<Kernel> {
  const { createKernel: create } = (await import(module)) as {
    createKernel: (worker: LaneName) => Kernel;
  };
  return create(worker);
}
