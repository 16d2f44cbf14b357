// The driver's lives on one network, one after the other: what each of them tells, its check when it has settled (against the
// journal, against the kernel, and by the guests' traffic), and its end. Which end it takes is up to campaign.ts.

import { setTimeout as sleep } from "node:timers/promises";
import { ChaosError, overInTime } from "./chaos-error.js";
import { nowMs } from "./journal.mjs";
import { type Entry, Life, type Orders, type PlainAllocation } from "./life.js";
import { Model } from "./model.js";
import { PluggedGuests } from "./plugged.js";
import { checkSettled } from "./settled.js";

const NETWORK = {
  bridge: "vmbr0",
  subnet: "10.100.0.0/24",
  uploadCapacity: "1gbit",
  baseLimit: 1_000_000,
  translate: true,
};
const NAMES = { bridge: NETWORK.bridge, shaper: "fku0a640001" };
const SETTLE_MS = 5000;
const POLL_MS = 20;

export interface Tally {
  kills: number;
  /** Lives that ended before they had settled. */
  diedOpening: number;
  asked: number;
  acknowledged: number;
  refused: number;
  checks: number;
  /** Guests that were live at a check, summed over all checks. */
  guestsChecked: number;
}

export class Lives {
  readonly #model = new Model();
  readonly plugged: PluggedGuests;
  #life: Life | undefined;
  #options: Orders["options"] & { stateDir: string };
  #lastKill = "the start";
  readonly tally: Tally = {
    kills: 0,
    diedOpening: 0,
    asked: 0,
    acknowledged: 0,
    refused: 0,
    checks: 0,
    guestsChecked: 0,
  };

  constructor(stateDir: string) {
    this.#options = { ...NETWORK, stateDir };
    this.plugged = new PluggedGuests(NAMES.shaper, this.#model, (ifindex) =>
      this.#life?.tell({ plugged: ifindex }),
    );
  }

  /** Lets the next one begin, with so many warm slots. */
  start(pool: number, orders: Omit<Orders, "options">): Life {
    this.#options = { ...this.#options, pool: { size: pool } };
    const life = new Life({ ...orders, options: this.#options }, (entry) => this.#hear(entry));
    this.#life = life;
    return life;
  }

  /** kill -9 for the one that is there. */
  async kill(): Promise<void> {
    await this.#life?.kill();
  }

  /** `settle`, for one that has no reason to end before. */
  async settleSurely(life: Life, where: string): Promise<void> {
    if (!(await this.settle(life, where))) throw endedEarly(life, where);
  }

  /** False when the driver ended before it had settled. Throws what is not as it should be. */
  async settle(life: Life, where: string): Promise<boolean> {
    const settled = await Promise.race([life.until("settled"), overInTime(life, where)]);
    return settled !== undefined && (await this.#check(life, settled.allocations));
  }

  /** The same for one that lost a worker's thread: nothing may be left that it has not taken away by itself. */
  async resettle(life: Life, where: string): Promise<void> {
    this.#lastKill = where;
    const settled = await Promise.race([life.until("resettled"), overInTime(life, where)]);
    const left = (settled?.actions ?? []).map((action) => JSON.stringify(action));
    if (left.length > 0) throw new ChaosError(`left by ${where}`, left);
    if (!settled || !(await this.#check(life, settled.allocations))) throw endedEarly(life, where);
  }

  /** Counts the kill of a driver that is dead now; one that ended in another way has failed. */
  buried(life: Life, where: string, hasSettled: boolean): void {
    if (life.end !== "SIGKILL") throw new ChaosError(where, [`the driver ended with ${life.end}`]);
    this.#lastKill = where;
    this.tally.kills += 1;
    if (!hasSettled) this.tally.diedOpening += 1;
  }

  /** False when the driver ended meanwhile. */
  async #check(life: Life, allocations: readonly PlainAllocation[]): Promise<boolean> {
    const check = () => checkSettled(this.#options, NAMES, this.#model, allocations);
    const deadline = performance.now() + SETTLE_MS;
    let found = check();
    // Leftovers go and the pool fills in the background.
    while (found.problems.length > 0 && life.end === null && performance.now() < deadline) {
      await sleep(POLL_MS);
      found = check();
    }
    if (life.end !== null) return false;
    const guests = allocations.filter(({ state }) => state === "active");
    for (const guest of guests) this.plugged.plug(guest);
    const isBroken = found.problems.length > 0;
    const silent = isBroken ? [] : await this.plugged.silent(guests, () => life.end !== null);
    if (life.end !== null) return false;
    const traffic = this.plugged.takeProblems(NETWORK.baseLimit);
    const problems = [...traffic, ...this.#model.takeProblems(), ...found.problems, ...silent];
    if (problems.length > 0) throw new ChaosError(`after ${this.#lastKill}`, problems);
    const atMs = nowMs();
    this.#model.settle(found.guests, atMs);
    this.#model.forgetBefore(atMs);
    const plugged = guests.filter(({ ifindex }) => this.plugged.has(ifindex));
    for (const { ifindex } of plugged) life.tell({ plugged: ifindex });
    this.plugged.measureAgain(plugged);
    this.tally.checks += 1;
    this.tally.guestsChecked += guests.length;
    return true;
  }

  #hear(entry: Entry): void {
    this.#model.hear(entry);
    if (entry.event === "ask") {
      this.tally.asked += 1;
      if (entry.call === "release" || entry.call === "standby")
        this.plugged.end(entry.id, entry.atMs);
    }
    if (entry.event === "refusal") this.tally.refused += 1;
    if (entry.event !== "ack") return;
    this.tally.acknowledged += 1;
    if (entry.allocation) this.plugged.plug(entry.allocation);
  }
}

function endedEarly(life: Life, where: string): ChaosError {
  return new ChaosError(where, [`the driver ended (${life.end}) before it had settled`]);
}
