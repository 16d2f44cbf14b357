// events(): what happens at one network, as an async iterable over the diagnostics channels.

import diagnostics from "node:diagnostics_channel";
import { EVENT_NAMES, type Events } from "./events.js";

/**
 * What happened, told apart by `type`: the diagnostics channel's name without "forknet:". "missed"
 * says how many events, the oldest ones, a reader lost who did not keep up.
 */
export type NetworkEvent =
  | {
      [Name in keyof Events]: Name extends `forknet:${infer Type}`
        ? { type: Type } & Events[Name]
        : never;
    }[keyof Events]
  | { type: "missed"; bridge: string; count: number };

/** Events that wait for a slow reader; a burst of a thousand forks makes three thousand. */
const LONGEST_QUEUE = 4096;

/**
 * Each iteration hears what happens from its start on. It ends, after what is waiting, when one of
 * the signals is aborted; and at once when its reader leaves.
 */
export function subscription(
  bridge: string,
  signals: readonly AbortSignal[],
): AsyncIterable<NetworkEvent> {
  return { [Symbol.asyncIterator]: () => new Subscription(bridge, signals) };
}

class Subscription implements AsyncIterator<NetworkEvent> {
  readonly #bridge: string;
  readonly #signals: readonly AbortSignal[];
  readonly #waiting: NetworkEvent[] = [];
  #missed = 0;
  #isOver = false;
  /** Readers that wait, when nothing else does. */
  readonly #readers: ((result: IteratorResult<NetworkEvent>) => void)[] = [];

  constructor(bridge: string, signals: readonly AbortSignal[]) {
    this.#bridge = bridge;
    this.#signals = signals;
    for (const name of EVENT_NAMES) diagnostics.subscribe(name, this.#listen);
    for (const signal of signals) {
      signal.addEventListener("abort", this.#end);
      if (signal.aborted) this.#end();
    }
  }

  next(): Promise<IteratorResult<NetworkEvent>> {
    const result = this.#take();
    if (result) return Promise.resolve(result);
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  return(): Promise<IteratorResult<NetworkEvent>> {
    this.#end();
    this.#waiting.length = 0;
    this.#missed = 0;
    return Promise.resolve({ done: true, value: undefined });
  }

  #take(): IteratorResult<NetworkEvent> | undefined {
    if (this.#missed > 0) {
      const count = this.#missed;
      this.#missed = 0;
      return { done: false, value: { type: "missed", bridge: this.#bridge, count } };
    }
    const value = this.#waiting.shift();
    if (value) return { done: false, value };
    return this.#isOver ? { done: true, value: undefined } : undefined;
  }

  readonly #listen = (message: unknown, name: string | symbol): void => {
    const told = message as Events[keyof Events];
    if (told.bridge !== this.#bridge) return;
    const type = String(name).slice("forknet:".length);
    const value = { type, ...told } as NetworkEvent;
    const reader = this.#readers.shift();
    if (reader) {
      reader({ done: false, value });
      return;
    }
    this.#waiting.push(value);
    if (this.#waiting.length <= LONGEST_QUEUE) return;
    this.#waiting.shift();
    this.#missed++;
  };

  readonly #end = (): void => {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const name of EVENT_NAMES) diagnostics.unsubscribe(name, this.#listen);
    for (const signal of this.#signals) signal.removeEventListener("abort", this.#end);
    for (const reader of this.#readers.splice(0)) reader({ done: true, value: undefined });
  };
}
