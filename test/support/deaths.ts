// Makes worker threads of a network die. Make it before the network is opened, and open with
// `openWith(options, deaths.internals)`; operations are counted from the last call of a method here.

import { setTimeout as sleep } from "node:timers/promises";
import { setEnvironmentData } from "node:worker_threads";
import type { Internals } from "../../dist/open.js";

export type Worker = "any" | "create" | "shape" | "reap";
export type Death = "throw" | "exit" | "memory";

// As in mortal-kernel.mjs, which only workers can load.
const KEY = "forknet-test-deaths";
const SLOT = { worker: 0, death: 1, moment: 2, operation: 3, times: 4, died: 5 };
const WORKERS: readonly Worker[] = ["any", "create", "shape", "reap"];
const DEATHS: readonly Death[] = ["throw", "exit", "memory"];
const MOMENT = { never: 0, operation: 1, idle: 2, start: 3 };
const HEAP_MB = 48;
const POLL_MS = 2;

export class Deaths {
  readonly #words = new Int32Array(new SharedArrayBuffer(64));
  readonly internals: Internals = {
    kernelModule: new URL("./mortal-kernel.mjs", import.meta.url).href,
    heapMb: HEAP_MB,
  };

  constructor() {
    setEnvironmentData(KEY, this.#words.buffer);
  }

  /** Nobody dies any more. */
  none(): void {
    this.#words[SLOT.moment] = MOMENT.never;
  }

  /** Dies before the `at`-th operation from now, and before each one after that until `times` have. */
  before(worker: Worker, death: Death, at = 1, times = 1): void {
    this.#set(MOMENT.operation, worker, death, at, times);
  }

  /** Dies while it starts, so many times in a row. */
  starting(worker: Worker, death: Death, times = 1): void {
    this.#set(MOMENT.start, worker, death, 0, times);
  }

  /** Dies while it has nothing to do. Resolves when it is about to. */
  async idle(worker: Worker, death: Death): Promise<void> {
    this.#set(MOMENT.idle, worker, death, 0, 1);
    while (this.count === 0) await sleep(POLL_MS);
  }

  /** How many have died since the last setting. */
  get count(): number {
    return Atomics.load(this.#words, SLOT.died);
  }

  #set(moment: number, worker: Worker, death: Death, at: number, times: number): void {
    this.none();
    this.#words[SLOT.worker] = WORKERS.indexOf(worker);
    this.#words[SLOT.death] = DEATHS.indexOf(death);
    this.#words[SLOT.operation] = at;
    this.#words[SLOT.times] = times;
    this.#words[SLOT.died] = 0;
    Atomics.store(this.#words, SLOT.moment, moment);
  }
}
