// One life of the driver, from its parent's side: starts it, reads its journal, and kills it.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Allocation, GuestIdentity, NetworkOptions } from "../dist/index.js";
import type { Limits } from "../dist/limits.js";

const PROGRAM = fileURLToPath(new URL("./driver.mjs", import.meta.url));
const JOURNAL_FD = 3;

export type PlainAllocation = Omit<Allocation, "shaped">;
export type Call = "create" | "recreate" | "standby" | "release" | "update" | "identify";
/** Every limit is given: an unlimited guest proves nothing. */
export type GuestLimits = { download: number; upload: NonNullable<Limits["upload"]> };

interface Asked {
  number: number;
  call: Call;
  id: string;
}
/** A line of the journal. */
export type Entry = { atMs: number } & (
  | ({ event: "ask"; limits?: GuestLimits; guest?: GuestIdentity | null } & Asked)
  | ({ event: "ack"; allocation?: PlainAllocation } & Asked)
  | ({ event: "refusal"; code: string; message: string } & Asked)
  | { event: "opened"; allocations: PlainAllocation[] }
  | { event: "settled"; allocations: PlainAllocation[] }
  | { event: "resettled"; allocations: PlainAllocation[]; actions: object[]; died: boolean }
  | { event: "armed" }
  | { event: "ended" }
  | { event: "counted"; operations: string[]; died: boolean }
);

/** Only the operations of this worker count. */
export interface ThreadDeath {
  worker: "any" | "create" | "shape" | "reap";
  death: "throw" | "exit" | "memory";
}

/** What a driver is told at its start; see driver.mjs. */
export interface Orders {
  options: NetworkOptions;
  seed: number;
  /** Makes this plan's call once; without one it makes random calls. */
  scenario?: string;
  /** Dies after so many kernel operations of the scenario's call; absent: counts them. */
  after?: number;
  /** Dies after so many kernel operations of random calls. */
  operations?: number;
  /** Not the process dies, but a worker thread; the process goes on and settles again. */
  thread?: ThreadDeath;
  /** Makes random calls from the moment the network is open: nothing is checked, nothing has settled. */
  hasty?: boolean;
  /** Destroys the network and ends. */
  end?: boolean;
}

export class Life {
  readonly #child: ChildProcess;
  readonly #over: Promise<unknown>;
  readonly #seen = new Map<Entry["event"], Entry>();
  readonly #waiting = new Map<Entry["event"], (entry: Entry) => void>();

  constructor(orders: Orders, hear: (entry: Entry) => void) {
    this.#child = spawn(process.execPath, [PROGRAM, JSON.stringify(orders)], {
      stdio: ["ignore", "inherit", "inherit", "pipe", "ipc"],
    });
    const journal = createInterface({ input: this.#child.stdio[JOURNAL_FD] as Readable });
    journal.on("line", (line) => {
      const entry = JSON.parse(line) as Entry;
      hear(entry);
      if (!this.#seen.has(entry.event)) this.#seen.set(entry.event, entry);
      this.#waiting.get(entry.event)?.(entry);
    });
    // What the dead driver wrote is read to the end before anybody judges it.
    this.#over = Promise.all([once(this.#child, "exit"), once(journal, "close")]);
  }

  /** The signal that ended it, or its exit code. */
  get end(): string | number | null {
    return this.#child.signalCode ?? this.#child.exitCode;
  }

  /** The first entry of this kind; undefined when the driver ended without one. */
  async until<Event extends Entry["event"]>(
    event: Event,
  ): Promise<Extract<Entry, { event: Event }> | undefined> {
    if (!this.#seen.has(event)) {
      const coming = new Promise<Entry>((resolve) => this.#waiting.set(event, resolve));
      await Promise.race([coming, this.#over]);
      this.#waiting.delete(event);
    }
    return this.#seen.get(event) as Extract<Entry, { event: Event }> | undefined;
  }

  tell(message: { go: true } | { plugged: number }): void {
    // It may be dead, which its parent hears of in another way.
    this.#child.send(message, () => {});
  }

  /** Resolves when it has ended by itself. */
  async over(): Promise<void> {
    await this.#over;
  }

  /** kill -9. Resolves when the process is gone and its journal read. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#over;
  }
}
