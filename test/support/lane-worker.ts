// A lane's worker that answers when a test tells it to, and what its answers look like.

import type { KernelFailure } from "../../src/errors.js";
import type { JobResult } from "../../src/lanes/job.js";
import { Lane, type LaneOptions } from "../../src/lanes/lane.js";

/** When the worker says that it did everything. */
export const TIME = { startedMs: 10, endedMs: 20 };
const TICKS = 20;

export function ok<Value>(value: Value): JobResult<Value> {
  return { ok: true, value, ...TIME };
}

export function refused(errno: number, rest: Partial<KernelFailure> = {}): JobResult<never> {
  const failure = {
    operation: "RTM_NEWLINK",
    device: "tap0",
    errno,
    text: "",
    leftBehind: [],
    ...rest,
  };
  return { ok: false, failure, ...TIME };
}

/** Runs what waits in the queue of microtasks. */
export async function settled(): Promise<void> {
  for (let i = 0; i < TICKS; i++) await Promise.resolve();
}

/** `make` is what the worker sees of a job. */
export class LaneWorker<Job, Value, Seen = Job> {
  readonly calls: Seen[][] = [];
  readonly #make: (job: Job) => Seen;
  readonly #answers: {
    resolve: (results: JobResult<Value>[]) => void;
    reject: (error: Error) => void;
  }[] = [];

  constructor(make: (job: Job) => Seen) {
    this.#make = make;
  }

  lane(options: Partial<LaneOptions> = {}): Lane<Job, Value> {
    const call = (jobs: readonly Job[]) => {
      this.calls.push(jobs.map(this.#make));
      return new Promise<JobResult<Value>[]>((resolve, reject) =>
        this.#answers.push({ resolve, reject }),
      );
    };
    return new Lane(call, { maxBatch: 10, ...options });
  }

  /** Answers the call that runs. */
  async answer(...results: JobResult<Value>[]): Promise<void> {
    this.#answers.shift()?.resolve(results);
    await settled();
  }

  async crash(error: Error): Promise<void> {
    this.#answers.shift()?.reject(error);
    await settled();
  }
}

/** A worker whose jobs have their own names as values. */
export class EchoWorker extends LaneWorker<string, string> {
  constructor() {
    super((job) => job);
  }

  async done(): Promise<void> {
    await this.answer(...(this.calls.at(-1) ?? []).map(ok));
  }
}
