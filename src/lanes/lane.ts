// A lane: a queue with one worker behind it. While a call runs, requests collect, and the next call
// takes them all up to a bound (group commit): no added latency when idle, no storm of small calls
// under a burst.

import { monotonicMs } from "../clock.js";
import { errorFromFailure, type KernelFailure } from "../errors.js";
import type { JobResult, WorkTime } from "./job.js";
import { WorkerLost } from "./worker-lost.js";

/** A job that was done: its value and when it waited and ran. */
export interface Done<Value> {
  value: Value;
  time: WorkTime & { queuedMs: number };
}

/** A job in the lane, as its submitter holds it. */
export interface Ticket<Value> {
  /** Rejects with a ForknetError. */
  readonly done: Promise<Done<Value>>;
  /**
   * Takes the job out of the queue; false when the worker has it already. A cancelled job rejects
   * with the reason; without one it never settles.
   */
  cancel(reason?: Error): boolean;
}

export interface LaneOptions {
  /** Jobs in one call of the worker. */
  maxBatch: number;
  /**
   * Calls the worker only when the present turn of the event loop is over. Waking a thread costs
   * tens of microseconds, and whoever waits for the fork that brought the job should not pay them.
   */
  afterTurn?: boolean;
  /**
   * A job may be done again when nobody knows whether it was: jobs that a dead worker had are
   * repeated, each in a call of its own, so that one that kills the worker harms no other.
   */
  isRepeatable?: boolean;
  /** Called for every failure that is retried or given up. What it throws is dropped. */
  onFailure?: (failure: KernelFailure) => void;
}

export interface SubmitOptions {
  /** Runs only when no other job waits. */
  background?: boolean;
  /** Called when the worker died under the job, before it is repeated or rejects. */
  onLost?: () => void;
}

interface Entry<Job, Value> {
  job: Job;
  background: boolean;
  onLost: (() => void) | undefined;
  queuedMs: number;
  attempts: number;
  /** Workers that died under it. */
  losses: number;
  resolve: (done: Done<Value>) => void;
  reject: (error: Error) => void;
}

/** EINTR, EAGAIN, EBUSY, ENOBUFS: the kernel was busy, the same request may succeed. */
const PASSING_ERRNOS = new Set([4, 11, 16, 105]);
const MOST_ATTEMPTS = 6;
const FIRST_DELAY_MS = 2;
/** A job that killed so many workers is given up. */
const MOST_LOSSES = 3;

export class Lane<Job, Value> {
  readonly #call: (jobs: readonly Job[]) => Promise<JobResult<Value>[]>;
  readonly #options: LaneOptions;
  /** Entries whose worker died. */
  readonly #lost = new Set<Entry<Job, Value>>();
  readonly #urgent = new Set<Entry<Job, Value>>();
  readonly #background = new Set<Entry<Job, Value>>();
  /** Entries that wait for their next attempt. */
  readonly #resting = new Map<Entry<Job, Value>, NodeJS.Timeout>();
  #running = 0;
  /** The next call starts at the end of this turn or tick. */
  #isAwaited = false;
  #idle: (() => void)[] = [];

  constructor(call: (jobs: readonly Job[]) => Promise<JobResult<Value>[]>, options: LaneOptions) {
    this.#call = call;
    this.#options = options;
  }

  /** Jobs that wait or run. */
  get depth(): number {
    const waiting = this.#lost.size + this.#urgent.size + this.#background.size;
    return waiting + this.#resting.size + this.#running;
  }

  submit(job: Job, options: SubmitOptions = {}): Ticket<Value> {
    let entry: Entry<Job, Value> | undefined;
    const done = new Promise<Done<Value>>((resolve, reject) => {
      entry = {
        job,
        background: options.background ?? false,
        onLost: options.onLost,
        queuedMs: monotonicMs(),
        attempts: 0,
        losses: 0,
        resolve,
        reject,
      };
    });
    const queued = entry as Entry<Job, Value>;
    this.#enqueue(queued);
    return { done, cancel: (reason) => this.#cancel(queued, reason) };
  }

  /** Resolves when nothing waits or runs. */
  idle(): Promise<void> {
    if (this.depth === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #enqueue(entry: Entry<Job, Value>): void {
    (entry.background ? this.#background : this.#urgent).add(entry);
    if (this.#running > 0 || this.#isAwaited) return;
    // Not at once: what is submitted in the same tick goes into the same call.
    this.#isAwaited = true;
    const start = () => {
      this.#isAwaited = false;
      this.#next();
    };
    if (this.#options.afterTurn) setImmediate(start);
    else queueMicrotask(start);
  }

  #cancel(entry: Entry<Job, Value>, reason: Error | undefined): boolean {
    const timer = this.#resting.get(entry);
    clearTimeout(timer);
    const waited = this.#resting.delete(entry) || this.#queues.some((queue) => queue.delete(entry));
    if (waited && reason) entry.reject(reason);
    this.#tellIdle();
    return waited;
  }

  get #queues(): readonly Set<Entry<Job, Value>>[] {
    return [this.#lost, this.#urgent, this.#background];
  }

  #next(): void {
    if (this.#running > 0) return;
    const from = this.#queues.find(({ size }) => size > 0);
    const most = from === this.#lost ? 1 : this.#options.maxBatch;
    const batch: Entry<Job, Value>[] = [];
    for (const entry of from ?? []) {
      if (batch.length === most) break;
      from?.delete(entry);
      batch.push(entry);
    }
    this.#running = batch.length;
    if (batch.length > 0) void this.#run(batch);
    else this.#tellIdle();
  }

  /** Never rejects. */
  async #run(batch: Entry<Job, Value>[]): Promise<void> {
    try {
      const results = await this.#call(batch.map((entry) => entry.job));
      batch.forEach((entry, i) => {
        this.#settle(entry, results[i] as JobResult<Value>);
      });
    } catch (error) {
      for (const entry of batch) this.#failed(entry, error as Error);
    }
    this.#running = 0;
    this.#next();
  }

  /** Without a worker's answer. */
  #failed(entry: Entry<Job, Value>, error: Error): void {
    const isLost = error instanceof WorkerLost;
    if (isLost) entry.onLost?.();
    if (isLost && this.#options.isRepeatable && ++entry.losses < MOST_LOSSES) this.#lost.add(entry);
    else entry.reject(error);
  }

  #settle(entry: Entry<Job, Value>, result: JobResult<Value>): void {
    const { startedMs, endedMs } = result;
    if (result.ok) {
      entry.resolve({
        value: result.value,
        time: { queuedMs: entry.queuedMs, startedMs, endedMs },
      });
      return;
    }
    const { failure } = result;
    this.#tellFailure(failure);
    const isPassing =
      PASSING_ERRNOS.has(failure.errno) && !failure.code && failure.leftBehind.length === 0;
    entry.attempts++;
    if (isPassing && entry.attempts < MOST_ATTEMPTS) this.#rest(entry);
    else entry.reject(errorFromFailure(failure));
  }

  #rest(entry: Entry<Job, Value>): void {
    // 2, 4, 8, 16, 32 ms and up to as much again, so that lanes of several processes do not keep
    // step.
    const delay = FIRST_DELAY_MS * 2 ** (entry.attempts - 1) * (1 + Math.random());
    const timer = setTimeout(() => {
      this.#resting.delete(entry);
      this.#enqueue(entry);
    }, delay);
    this.#resting.set(entry, timer);
  }

  #tellFailure(failure: KernelFailure): void {
    try {
      this.#options.onFailure?.(failure);
    } catch {
      // Whoever counts failures must not stop the jobs behind this one.
    }
  }

  #tellIdle(): void {
    if (this.depth > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
