// A campaign of kills on one network: each life of the driver is ended at a chosen point, and the next one is checked when
// it has settled, against the journal, against the kernel, and by the guests' traffic.

import { setTimeout as sleep } from "node:timers/promises";
import { ChaosError, overInTime } from "./chaos-error.js";
import { hasTraffic } from "./churn.mjs";
import { nowMs } from "./journal.mjs";
import { type Entry, Life, type Orders, type PlainAllocation } from "./life.js";
import { Meter } from "./meter.js";
import { Model } from "./model.js";
import { checkSettled } from "./settled.js";
import { Traffic } from "./traffic.js";

export const NETWORK = {
  bridge: "vmbr0",
  subnet: "10.100.0.0/24",
  uploadCapacity: "1gbit",
  baseLimit: 1_000_000,
  translate: true,
};
export const NAMES = { bridge: NETWORK.bridge, shaper: "fku0a640001" };
const GATEWAY_MAC = "02:00:0a:64:00:01";
const SAMPLE_MS = 100;
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

export class Campaign {
  readonly #stateDir: string;
  readonly #model = new Model();
  readonly #meter = new Meter(NAMES.shaper);
  readonly #sampling: NodeJS.Timeout;
  readonly #traffic: Traffic;
  readonly #lost: string[] = [];
  /** Ifindexes of TAPs that their guests have open. */
  readonly #plugged = new Set<number>();
  #life: Life | undefined;
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
    this.#stateDir = stateDir;
    this.#traffic = new Traffic({
      plugged: (ifindex) => this.#opened(ifindex),
      lost: (id, ifindex, reason) => {
        this.#plugged.delete(ifindex);
        if (this.#model.mustLive(id, ifindex)) this.#lost.push(`${id}: ${reason}`);
      },
    });
    this.#sampling = setInterval(() => this.#meter.sample(nowMs), SAMPLE_MS);
  }

  /** Resolves when the guests' process can take TAPs. */
  async ready(): Promise<void> {
    await this.#traffic.count();
  }

  get frames() {
    return this.#traffic.total;
  }

  get metered() {
    return this.#meter.total;
  }

  /** Kills a driver after so many milliseconds of its life, wherever it is then. */
  async killAfterMs(seed: number, pool: number, ms: number): Promise<void> {
    const where = `killed ${ms.toFixed(1)} ms after its start, pool ${pool}`;
    const life = this.#start({ seed, options: this.#options(pool) });
    const timer = setTimeout(() => void life.kill(), ms);
    let hasSettled: boolean;
    try {
      hasSettled = await this.#settle(life, pool, where);
    } catch (error) {
      clearTimeout(timer);
      throw error;
    }
    if (hasSettled) life.tell({ go: true });
    await life.over();
    this.#buried(life, where, hasSettled);
  }

  /** The same for a life that makes its calls at once and is not checked; the next one is. */
  async killInHaste(seed: number, pool: number, ms: number): Promise<void> {
    const where = `killed in haste, ${ms.toFixed(1)} ms after its start, pool ${pool}`;
    const life = this.#start({ seed, options: this.#options(pool), hasty: true });
    setTimeout(() => void life.kill(), ms);
    const opened = await life.until("opened");
    for (const { ifindex } of opened?.allocations ?? [])
      if (this.#plugged.has(ifindex)) life.tell({ plugged: ifindex });
    await life.over();
    this.#buried(life, where, opened !== undefined);
  }

  /** Makes random calls until so many kernel operations were done, and dies there. */
  async killAfterOperations(seed: number, pool: number, operations: number): Promise<void> {
    const where = `killed after ${operations} kernel operations of random calls, pool ${pool}`;
    const life = this.#start({ seed, options: this.#options(pool), operations });
    await this.#settleSurely(life, pool, where);
    life.tell({ go: true });
    await overInTime(life, where);
    this.#buried(life, where, true);
  }

  /** Runs a plan once without a kill and kills the idle driver after it; what the plan did. */
  async count({ name, pool }: ScenarioShape): Promise<string[]> {
    const where = `counting "${name}"`;
    const life = this.#start({ seed: 0, options: this.#options(pool), scenario: name });
    await this.#settleSurely(life, pool, where);
    life.tell({ go: true });
    const counted = await life.until("counted");
    if (!counted) throw new ChaosError(where, [`the driver ended (${life.end})`]);
    await life.kill();
    this.#buried(life, where, true);
    return counted.operations;
  }

  /** Kills the driver after so many operations of a plan. False when the plan was over before. */
  async aim({ name, pool, isOpening = false }: ScenarioShape, after: number): Promise<boolean> {
    const where = `"${name}" killed after ${after} operations, pool ${pool}`;
    const life = this.#start({ seed: 0, options: this.#options(pool), scenario: name, after });
    const hasSettled = await this.#settle(life, pool, where);
    if (!hasSettled && !isOpening)
      throw new ChaosError(where, [`it ended (${life.end}) too early`]);
    if (hasSettled) life.tell({ go: true });
    const missed = await Promise.race([life.until("counted"), overInTime(life, where)]);
    if (missed) await life.kill();
    this.#buried(life, where, hasSettled);
    return !missed;
  }

  /** A last check, and the end of the network. What is left in the namespace is the caller's to check. */
  async finish(): Promise<void> {
    const where = "after the last kill";
    const life = this.#start({ seed: 0, options: this.#options(2) });
    await this.#settleSurely(life, 2, where);
    await this.clear();
  }

  /** Ends the driver that is there, and removes the network, in whatever state it is. */
  async clear(): Promise<void> {
    const where = "destroying the network";
    await this.#life?.kill();
    const last = this.#start({ seed: 0, options: this.#options(0), end: true });
    await overInTime(last, where);
    if (last.end !== 0) throw new ChaosError(where, [`it ended with ${last.end}`]);
  }

  async end(): Promise<void> {
    clearInterval(this.#sampling);
    this.#meter.close();
    await this.#life?.kill();
    await this.#traffic.end();
  }

  #options(pool: number) {
    return { ...NETWORK, stateDir: this.#stateDir, pool: { size: pool } };
  }

  #start(orders: Orders): Life {
    const life = new Life(orders, (entry) => this.#hear(entry));
    this.#life = life;
    return life;
  }

  #hear(entry: Entry): void {
    this.#model.hear(entry);
    if (entry.event === "ask") {
      this.tally.asked += 1;
      if (entry.call === "release" || entry.call === "standby")
        this.#meter.end(entry.id, entry.atMs);
    }
    if (entry.event === "refusal") this.tally.refused += 1;
    if (entry.event !== "ack") return;
    this.tally.acknowledged += 1;
    if (entry.allocation) this.#plug(entry.allocation);
  }

  #plug(guest: PlainAllocation): void {
    const { instanceId: id, ifindex, state, tap, ip, mac, gateway } = guest;
    if (!hasTraffic(id) || state !== "active" || this.#traffic.holds(ifindex)) return;
    const self = guest.guest ?? { ip, mac, gateway, gatewayMac: GATEWAY_MAC };
    this.#traffic.plug({ id, tap, ifindex, ip, gateway, self });
  }

  #opened(ifindex: number): void {
    this.#plugged.add(ifindex);
    this.#life?.tell({ plugged: ifindex });
    const guest = this.#model.liveGuests().find((one) => one.ifindex === ifindex);
    if (guest) this.#meterGuest(guest);
  }

  #meterGuest({ instanceId: id, ifindex, classId }: PlainAllocation): void {
    const minor = Number.parseInt(classId.slice(2), 16);
    this.#meter.begin({ id, ifindex, minor, fromMs: nowMs() });
  }

  async #settleSurely(life: Life, pool: number, where: string): Promise<void> {
    if (await this.#settle(life, pool, where)) return;
    throw new ChaosError(where, [`the driver ended (${life.end}) before it had settled`]);
  }

  /** False when the driver ended before it had settled. Throws what is not as it should be. */
  async #settle(life: Life, pool: number, where: string): Promise<boolean> {
    const settled = await Promise.race([life.until("settled"), overInTime(life, where)]);
    if (!settled) return false;
    const check = () => checkSettled(this.#options(pool), NAMES, this.#model, settled.allocations);
    const deadline = performance.now() + SETTLE_MS;
    let found = check();
    // Leftovers go and the pool fills in the background.
    while (found.problems.length > 0 && life.end === null && performance.now() < deadline) {
      await sleep(POLL_MS);
      found = check();
    }
    if (life.end !== null) return false;
    const guests = settled.allocations.filter(({ state }) => state === "active");
    for (const guest of guests) this.#plug(guest);
    const withTraffic = guests.filter(({ instanceId }) => hasTraffic(instanceId));
    const silent =
      found.problems.length > 0
        ? []
        : await this.#traffic.silent(withTraffic, () => life.end !== null);
    if (life.end !== null) return false;
    const excesses = this.#meter.judgeAll((id) => this.#model.spellsOf(id), NETWORK.baseLimit);
    const journal = this.#model.takeProblems();
    const problems = [
      ...this.#lost.splice(0),
      ...journal,
      ...found.problems,
      ...silent,
      ...excesses,
    ];
    if (problems.length > 0) throw new ChaosError(`after ${this.#lastKill}`, problems);
    const atMs = nowMs();
    this.#model.settle(found.guests, atMs);
    this.#model.forgetBefore(atMs);
    for (const guest of guests.filter(({ ifindex }) => this.#plugged.has(ifindex))) {
      life.tell({ plugged: guest.ifindex });
      this.#meterGuest(guest);
    }
    this.tally.checks += 1;
    this.tally.guestsChecked += guests.length;
    return true;
  }

  /** Counts the kill of a driver that is dead now; one that ended in another way has failed. */
  #buried(life: Life, where: string, hasSettled: boolean): void {
    if (life.end !== "SIGKILL") throw new ChaosError(where, [`the driver ended with ${life.end}`]);
    this.#lastKill = where;
    this.tally.kills += 1;
    if (!hasSettled) this.tally.diedOpening += 1;
  }
}

interface ScenarioShape {
  name: string;
  pool: number;
  isOpening?: boolean;
}
