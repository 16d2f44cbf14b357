// What a network notes in its state directory about NAT: that there may be rules of it, and at which
// links it turned forwarding on. An empty file is a former release's, and says the first only.

import { existsSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bootId } from "../kernel/boot.js";
import { diskError } from "../lease/state-dir.js";
import type { TurnedOn } from "./forwarding.js";

interface Noted {
  /** Boot and network namespace: links of another one are other links. */
  place: string;
  turnedOn: TurnedOn[];
}

export class NatRecord {
  readonly path: string;

  constructor(stateDir: string) {
    this.path = join(stateDir, "nat");
  }

  get exists(): boolean {
    return existsSync(this.path);
  }

  /** Empty when nothing was turned on, or the host or the namespace is another one by now. */
  read(): TurnedOn[] {
    const text = this.exists ? readFileSync(this.path, "utf8") : "";
    try {
      const { place, turnedOn } = JSON.parse(text) as Noted;
      return place === thisPlace() ? turnedOn.filter(isWhole) : [];
    } catch {
      return [];
    }
  }

  /** Rejects with KERNEL or PERMISSION when the disk refuses. */
  write(turnedOn: readonly TurnedOn[]): void {
    const noted = { place: thisPlace(), turnedOn };
    this.#guarded(() => writeFileSync(this.path, JSON.stringify(noted)));
  }

  remove(): void {
    this.#guarded(() => rmSync(this.path, { force: true }));
  }

  #guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      throw diskError(this.path, error);
    }
  }
}

function thisPlace(): string {
  return `${bootId()} ${readlinkSync("/proc/thread-self/ns/net")}`;
}

function isWhole({ name, ifindex, hostForwards }: TurnedOn): boolean {
  return typeof name === "string" && Number.isInteger(ifindex) && typeof hostForwards === "boolean";
}
