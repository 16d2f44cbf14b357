// Somebody who takes the rules away again and again: when that has to be told. Pure.

import type { ChangedBy } from "./ruleset.js";

/** So many repairs within a minute are no accident. */
const REPAIRS = 10;
const WITHIN_MS = 60_000;

export class Contest {
  #repairedMs: number[] = [];
  #toldMs = Number.NEGATIVE_INFINITY;
  #by: ChangedBy | undefined;

  /** After a repair; true when it has to be told: then not again for a minute. */
  repaired(nowMs: number, by: ChangedBy | undefined): boolean {
    this.#by = by ?? this.#by;
    this.#repairedMs.push(nowMs);
    if (!this.isOn(nowMs) || nowMs - this.#toldMs < WITHIN_MS) return false;
    this.#toldMs = nowMs;
    return true;
  }

  /** Repairs of the last minute. */
  repairs(nowMs: number): number {
    this.#repairedMs = this.#repairedMs.filter((ms) => nowMs - ms < WITHIN_MS);
    return this.#repairedMs.length;
  }

  isOn(nowMs: number): boolean {
    return this.repairs(nowMs) >= REPAIRS;
  }

  /** The last one against whom the rules were put back, where that could be told. */
  get by(): ChangedBy | undefined {
    return this.#by;
  }
}
