// The parent's handle on the guests' process (guests.ts): gives guests their TAPs, and hears when one is gone.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Answer, Counted, Order, PlugOrder } from "./guests.js";

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));

export interface TrafficEvents {
  plugged: (ifindex: number) => void;
  /** The TAP was deleted under its guest, or could not be opened. */
  lost: (id: string, ifindex: number, reason: string) => void;
}

export class Traffic {
  readonly #child: ChildProcess;
  readonly #events: TrafficEvents;
  readonly #held = new Set<number>();
  readonly #counts = new Map<number, (counted: Counted) => void>();
  #questions = 0;

  /** Runs in the network namespace of the caller. */
  constructor(events: TrafficEvents) {
    this.#events = events;
    const args = ["--import", here("./typescript.mjs"), here("./guests.ts")];
    this.#child = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    this.#child.on("message", (message) => this.#heard(message as Answer));
  }

  /** True from the order on until the TAP is gone. */
  holds(ifindex: number): boolean {
    return this.#held.has(ifindex);
  }

  plug(order: PlugOrder): void {
    this.#held.add(order.ifindex);
    this.#tell({ plug: order });
  }

  /** Frames that arrived so far, for every guest that has a TAP. */
  count(): Promise<Counted> {
    this.#questions += 1;
    const number = this.#questions;
    return new Promise((resolve) => {
      this.#counts.set(number, resolve);
      this.#tell({ count: number });
    });
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#tell({ end: true });
    await once(this.#child, "exit");
  }

  #tell(order: Order): void {
    this.#child.send(order);
  }

  #heard(answer: Answer): void {
    if ("plugged" in answer) this.#events.plugged(answer.plugged.ifindex);
    else if ("counted" in answer) {
      this.#counts.get(answer.counted.number)?.(answer.counted);
      this.#counts.delete(answer.counted.number);
    } else {
      const { id, ifindex } = "lost" in answer ? answer.lost : answer.refused;
      this.#held.delete(ifindex);
      const reason =
        "lost" in answer ? `its TAP is gone (${answer.lost.code})` : answer.refused.reason;
      this.#events.lost(id, ifindex, reason);
    }
  }
}
