// What a network notes in its state directory about NAT: that there may be rules of it, and at which
// links it turned forwarding on. An empty file is a former release's, and says the first only.

import { readlinkSync } from "node:fs";
import { join } from "node:path";
import { bootId } from "../kernel/boot.js";
import { diskError } from "../state/disk-error.js";
import type { StateDir } from "../state/state-dir.js";
import type { TurnedOn } from "./forwarding.js";

interface Noted {
  /** Boot and network namespace: links of another one are other links. */
  place: string;
  turnedOn: TurnedOn[];
}

const FILE = "nat";

export class NatRecord {
  readonly path: string;
  readonly #state: StateDir;
  /** What the file holds; undefined when there is none. */
  #text: string | undefined;

  private constructor(state: StateDir, text: string | undefined) {
    this.path = join(state.path, FILE);
    this.#state = state;
    this.#text = text;
    state.keep(FILE, () =>
      this.#text === undefined ? undefined : { text: this.#text, records: 0 },
    );
  }

  /** Rejects with KERNEL or PERMISSION when the disk refuses. */
  static async open(state: StateDir): Promise<NatRecord> {
    try {
      const reading = await state.read(FILE);
      return new NatRecord(state, reading?.content.toString("utf8"));
    } catch (error) {
      throw diskError(state.path, error);
    }
  }

  get exists(): boolean {
    return this.#text !== undefined;
  }

  /** Empty when nothing was turned on, or the host or the namespace is another one by now. */
  read(): TurnedOn[] {
    try {
      const { place, turnedOn } = JSON.parse(this.#text ?? "") as Noted;
      return place === thisPlace() ? turnedOn.filter(isWhole) : [];
    } catch {
      return [];
    }
  }

  /** Durable. Rejects with KERNEL or PERMISSION when the disk refuses. */
  async write(turnedOn: readonly TurnedOn[]): Promise<void> {
    const text = JSON.stringify({ place: thisPlace(), turnedOn });
    await this.#guarded(() => this.#state.write(FILE, text));
    this.#text = text;
  }

  async remove(): Promise<void> {
    await this.#guarded(() => this.#state.remove(FILE));
    this.#text = undefined;
  }

  async #guarded(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      throw diskError(this.#state.path, error);
    }
  }
}

function thisPlace(): string {
  return `${bootId()} ${readlinkSync("/proc/thread-self/ns/net")}`;
}

function isWhole({ name, ifindex, hostForwards }: TurnedOn): boolean {
  const isIndex = Number.isInteger(ifindex) && ifindex > 0;
  return typeof name === "string" && isIndex && typeof hostForwards === "boolean";
}
