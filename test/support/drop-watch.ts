// Which counter of the programs' grew, without reading or clearing all of them for every frame: for
// tests that send very many.

import { DROP_REASONS, type DropReason } from "../../src/lease/drops.js";
import type { BpfPrograms } from "./bpf-programs.js";

export class DropWatch {
  readonly #programs: BpfPrograms;
  /** What the drops that were told make of the counters. */
  readonly #told: Record<string, number> = {};

  /** Counts from 0. */
  constructor(programs: BpfPrograms) {
    this.#programs = programs;
    programs.resetDrops();
  }

  /** The reason that was counted once more and not told yet; `likely` is looked at first. */
  next(likely?: string): string | undefined {
    if (likely !== undefined && this.#grew(likely)) return likely;
    return Object.keys(this.#programs.drops()).find((reason) => this.#grew(reason));
  }

  /** Whether this one was. */
  is(reason: string): boolean {
    return this.#grew(reason);
  }

  /** Counters that are not what was told, with what they are. */
  untold(): Record<string, number> {
    const now = Object.entries(this.#programs.drops());
    return Object.fromEntries(now.filter(([reason, count]) => count !== this.#told[reason]));
  }

  #grew(reason: string): boolean {
    const told = this.#told[reason] ?? 0;
    const values = this.#programs.dropsByCpu(DROP_REASONS.indexOf(reason as DropReason));
    if (values.reduce((sum, value) => sum + Number(value), 0) <= told) return false;
    this.#told[reason] = told + 1;
    return true;
  }
}
