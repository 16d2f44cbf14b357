// One worker of a network: a thread that is started, and started again when it dies. Calls wait
// while it starts; how often it may die is bounded by time.

import { setTimeout as sleep } from "node:timers/promises";
import { monotonicMs } from "../clock.js";
import { errorFromFailure, ForknetError } from "../errors.js";
import type { JobResult, LaneName } from "./job.js";
import { ThreadLife, type ThreadOptions } from "./thread-life.js";
import { WorkerLost } from "./worker-lost.js";

export interface WorkerOptions extends ThreadOptions {
  name: LaneName;
  kernelModule?: string | undefined;
  /** The number of the thread's netlink socket, before the thread changes anything. */
  onPort: (port: number) => void;
  onLost: (error: WorkerLost) => void;
}

/** Before the third thread in a row; the second starts at once. Doubles each time. */
const FIRST_PAUSE_MS = 100;
/** A start costs some 60 ms of a processor; what waits for one is a release, perhaps. */
const LONGEST_PAUSE_MS = 1000;
/** After a life that was longer the next thread starts at once. */
const STEADY_MS = 10_000;
/** After so many deaths without one answer in between, calls fail while the pause lasts. */
const MOST_FRUITLESS = 6;

export class WorkerThread {
  readonly #options: WorkerOptions;
  #life: ThreadLife | undefined;
  #starting: Promise<ThreadLife> | undefined;
  /** Calls run one after the other, so that only one is under way when the thread dies. */
  #turn: Promise<unknown> = Promise.resolve();
  #deaths = 0;
  #fruitless = 0;
  #startedMs = 0;
  #notBeforeMs = 0;
  #lost: WorkerLost | undefined;
  readonly #stopping = new AbortController();

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** Resolves when the thread can take calls. Rejects as `run` does. */
  start(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#alive();
    });
  }

  /**
   * Rejects with WorkerLost when the thread died under the call: it may have been carried out, and
   * nothing of it goes on. With any other error nothing was begun: WORKER while the thread dies
   * again and again, KERNEL when no kernel could be made, CLOSED after `stop`.
   */
  run<Value>(call: object): Promise<JobResult<Value>[]> {
    return this.#inTurn(async () => {
      const life = await this.#alive();
      const results = await this.#ask<Value>(life, call);
      this.#fruitless = 0;
      return results;
    });
  }

  /** Ends the thread. What waits rejects. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    // A thread that is stopped while it loads its modules leaves a file descriptor open.
    await this.#starting?.catch(() => {});
    await this.#life?.end();
  }

  #inTurn<Result>(run: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(run);
    this.#turn = result.catch(() => {});
    return result;
  }

  /** The thread that is there, or the next one. */
  async #alive(): Promise<ThreadLife> {
    for (;;) {
      this.#assertOpen();
      if (this.#life) return this.#life;
      this.#assertHope();
      try {
        return await this.#restart();
      } catch (error) {
        if (!(error instanceof WorkerLost)) throw error;
      }
    }
  }

  get #isHopeless(): boolean {
    return this.#fruitless >= MOST_FRUITLESS;
  }

  #assertHope(): void {
    if (!this.#isHopeless || monotonicMs() >= this.#notBeforeMs) return;
    const text = `the ${this.#options.name} worker dies again and again: nothing was begun`;
    throw new ForknetError("ERR_FORKNET_WORKER", text, { cause: this.#lost });
  }

  #restart(): Promise<ThreadLife> {
    this.#starting ??= this.#begin().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  async #begin(): Promise<ThreadLife> {
    const { signal } = this.#stopping;
    const pauseMs = this.#notBeforeMs - monotonicMs();
    if (pauseMs > 0) await sleep(pauseMs, undefined, { signal }).catch(() => {});
    this.#assertOpen();
    this.#startedMs = monotonicMs();
    const life = new ThreadLife(this.#options, (reason) => this.#died(reason));
    const [answer] = await this.#ask<number>(life, { method: "port", jobs: [undefined] });
    if (!answer?.ok) {
      await life.end();
      throw errorFromFailure((answer as Extract<typeof answer, { ok: false }>).failure);
    }
    this.#options.onPort(answer.value);
    this.#life = life;
    return life;
  }

  async #ask<Value>(life: ThreadLife, call: object): Promise<JobResult<Value>[]> {
    const { kernelModule } = this.#options;
    try {
      return await life.call(kernelModule === undefined ? call : { ...call, kernelModule });
    } catch (error) {
      this.#assertOpen();
      // Its end was told before this.
      throw this.#lost ?? error;
    }
  }

  #died(reason: unknown): void {
    const nowMs = monotonicMs();
    if (nowMs - this.#startedMs > STEADY_MS) this.#deaths = 0;
    this.#deaths++;
    this.#fruitless++;
    const pauseMs = this.#deaths === 1 ? 0 : FIRST_PAUSE_MS * 2 ** (this.#deaths - 2);
    this.#notBeforeMs = nowMs + Math.min(pauseMs, LONGEST_PAUSE_MS);
    this.#life = undefined;
    this.#lost = new WorkerLost(this.#options.name, reason);
    this.#options.onLost(this.#lost);
    // The next call is not to wait for a start.
    if (!this.#isHopeless) this.#restart().catch(() => {});
  }

  #assertOpen(): void {
    if (this.#stopping.signal.aborted)
      throw new ForknetError("ERR_FORKNET_CLOSED", "the network is closed");
  }
}
