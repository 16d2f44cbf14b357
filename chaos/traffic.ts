// The parent's handle on the guests' process (guests.ts): gives guests their TAPs, and hears when one is gone.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Answer, Arrived, Counted, Order, PlugOrder } from "./guests.js";

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));

const SILENCE_MS = 5000;
const POLL_MS = 20;

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
  #total: Counted["total"] = { sent: 0, uploaded: 0, downloaded: 0 };

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

  /** What all guests sent and received up to the last count. */
  get total(): Counted["total"] {
    return this.#total;
  }

  /** Guests that do not get a frame through both ways, though they are given time; in words. */
  async silent(
    guests: readonly { instanceId: string; ifindex: number }[],
    isOver: () => boolean,
  ): Promise<string[]> {
    const before = byIfindex(await this.count());
    const deadline = performance.now() + SILENCE_MS;
    for (;;) {
      await sleep(POLL_MS);
      const now = byIfindex(await this.count());
      const silent = guests.filter(({ ifindex }) => {
        const [was, is] = [before.get(ifindex), now.get(ifindex)];
        return !(
          is &&
          is.uploaded > (was?.uploaded ?? 0) &&
          is.downloaded > (was?.downloaded ?? 0)
        );
      });
      if (silent.length === 0 || isOver()) return [];
      if (performance.now() < deadline) continue;
      return silent.map(({ instanceId, ifindex }) => {
        const { uploaded = 0, downloaded = 0 } = now.get(ifindex) ?? {};
        return `${instanceId}: traffic stands still (${uploaded} frames up, ${downloaded} down)`;
      });
    }
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
      this.#total = answer.counted.total;
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

function byIfindex({ guests }: Counted): Map<number, Arrived> {
  return new Map(guests.map((one) => [one.ifindex, one]));
}
