// One life of a worker thread, from its start to its end. The only file that knows Piscina, whose
// pool never gets a second thread here: after a death during start Piscina starts none and lets
// calls wait for ever, and after a throw it may start one that nobody asked for.

import type { Worker } from "node:worker_threads";
import { Piscina } from "piscina";

/**
 * Of what a worker's call allocates nothing outlives it. V8 would let it grow to 48 MB before it
 * collects: 16 MB of memory in three workers after a thousand forks.
 */
const YOUNG_GENERATION_MB = 2;
const AGAIN_MS = 20;

export interface ThreadOptions {
  /** The module whose default export answers calls. */
  file: URL;
  /** Bounds the thread's heap; absent: V8's own bound. */
  heapMb?: number | undefined;
}

export class ThreadLife {
  readonly #pool: Piscina;
  readonly #onDeath: (reason: unknown) => void;
  #worker: Worker | undefined;
  #exited: Promise<void> | undefined;
  #reason: unknown;
  /** Nobody is to be told any more. */
  #isOver = false;

  /** `onDeath` is called once, when the thread is gone with everything it had open, unless `end` was. */
  constructor({ file, heapMb }: ThreadOptions, onDeath: (reason: unknown) => void) {
    this.#onDeath = onDeath;
    this.#pool = new Piscina({
      filename: file.href,
      // Started by the first call, and never by Piscina.
      minThreads: 0,
      maxThreads: 1,
      // A worker's first call costs 50 ms, so it is kept.
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1,
      resourceLimits: {
        maxYoungGenerationSizeMb: YOUNG_GENERATION_MB,
        ...(heapMb === undefined ? {} : { maxOldGenerationSizeMb: heapMb }),
      },
      // Two histograms of 350 KB each that nobody reads.
      recordTiming: false,
    });
    // The last words of a thread that has no call. Unheard they would end the process.
    this.#pool.on("error", (error: unknown) => {
      this.#reason ??= error;
    });
  }

  /**
   * One call at a time. A rejection means that the thread is gone, and nothing of the call goes on.
   */
  async call<Result>(task: object): Promise<Result> {
    // Piscina would start another.
    if (this.#isOver) throw new Error("the thread has ended", { cause: this.#reason });
    try {
      const answer = this.#pool.run(task) as Promise<Result>;
      this.#watch();
      return await answer;
    } catch (error) {
      this.#reason ??= error;
      // It may be in the middle of a system call yet, or alive: a call that could not be posted.
      await this.#terminate();
      // There may never have been a thread.
      this.#tellDeath();
      throw error;
    }
  }

  /** Ends the thread. Resolves when it is gone. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#terminate();
  }

  #watch(): void {
    const [worker] = this.#pool.threads;
    if (this.#worker || !worker) return;
    this.#worker = worker;
    worker.once("error", (error) => {
      this.#reason ??= error;
    });
    this.#exited = new Promise((resolve) => {
      worker.once("exit", (code) => {
        this.#reason ??= new Error(`it exited with code ${code}`);
        this.#tellDeath();
        resolve();
        // A call that waited for the thread to start has nobody else who ends it.
        void this.#terminate();
      });
    });
  }

  #tellDeath(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onDeath(this.#reason);
  }

  /**
   * Asks again until the thread is gone: of two requests at once, its own after an exception and
   * ours, Node forgets both in two of three runs (20.20), and the thread sleeps on.
   */
  async #terminate(): Promise<void> {
    const over = Promise.allSettled([this.#pool.destroy(), this.#exited]);
    const again = setInterval(() => void this.#worker?.terminate(), AGAIN_MS);
    await over;
    clearInterval(again);
  }
}
