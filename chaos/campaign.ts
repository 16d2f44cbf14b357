// A campaign of kills on one network: each life of the driver is ended at a chosen point, and what it leaves is checked
// when the next one has settled (lives.ts).

import { ChaosError, overInTime } from "./chaos-error.js";
import type { Entry, ThreadDeath } from "./life.js";
import { Lives, type Tally } from "./lives.js";

export class Campaign {
  readonly #lives: Lives;

  constructor(stateDir: string) {
    this.#lives = new Lives(stateDir);
  }

  /** Resolves when the guests' process can take TAPs. */
  async ready(): Promise<void> {
    await this.#lives.plugged.ready();
  }

  get tally(): Readonly<Tally> {
    return this.#lives.tally;
  }

  get frames() {
    return this.#lives.plugged.frames;
  }

  get metered() {
    return this.#lives.plugged.metered;
  }

  /** Kills a driver after so many milliseconds of its life, wherever it is then. */
  async killAfterMs(seed: number, pool: number, ms: number): Promise<void> {
    const where = `killed ${ms.toFixed(1)} ms after its start, pool ${pool}`;
    const life = this.#lives.start(pool, { seed });
    const timer = setTimeout(() => void life.kill(), ms);
    let hasSettled: boolean;
    try {
      hasSettled = await this.#lives.settle(life, where);
    } catch (error) {
      clearTimeout(timer);
      throw error;
    }
    if (hasSettled) life.tell({ go: true });
    await life.over();
    this.#lives.buried(life, where, hasSettled);
  }

  /** The same for a life that makes its calls at once and is not checked; the next one is. */
  async killInHaste(seed: number, pool: number, ms: number): Promise<void> {
    const where = `killed in haste, ${ms.toFixed(1)} ms after its start, pool ${pool}`;
    const life = this.#lives.start(pool, { seed, hasty: true });
    setTimeout(() => void life.kill(), ms);
    const opened = await life.until("opened");
    for (const { ifindex } of opened?.allocations ?? [])
      if (this.#lives.plugged.has(ifindex)) life.tell({ plugged: ifindex });
    await life.over();
    this.#lives.buried(life, where, opened !== undefined);
  }

  /** Makes random calls until so many kernel operations were done, and dies there. */
  async killAfterOperations(seed: number, pool: number, operations: number): Promise<void> {
    const where = `killed after ${operations} kernel operations of random calls, pool ${pool}`;
    const life = this.#lives.start(pool, { seed, operations });
    await this.#lives.settleSurely(life, where);
    life.tell({ go: true });
    await overInTime(life, where);
    this.#lives.buried(life, where, true);
  }

  /**
   * Makes random calls until a worker's thread has died after so many of its operations, and a while longer. What it left is
   * compared before the process is killed.
   */
  async killWorker(
    seed: number,
    pool: number,
    operations: number,
    thread: ThreadDeath,
  ): Promise<void> {
    const where = `the ${thread.worker} worker dead by ${thread.death} after ${operations} of its operations, pool ${pool}`;
    const life = this.#lives.start(pool, { seed, operations, thread });
    await this.#lives.settleSurely(life, where);
    life.tell({ go: true });
    await this.#lives.resettle(life, where);
    await life.kill();
    this.#lives.buried(life, where, true);
  }

  /** Runs a plan, in which a worker's thread dies. False when the plan was over before. */
  async aimAtWorker(
    { name, pool }: ScenarioShape,
    after: number,
    thread: ThreadDeath,
  ): Promise<boolean> {
    const where = `"${name}", a worker dead by ${thread.death} after ${after} operations, pool ${pool}`;
    const life = this.#lives.start(pool, { seed: 0, scenario: name, after, thread });
    await this.#lives.settleSurely(life, where);
    life.tell({ go: true });
    const resettled = life.until("resettled");
    const end = await Promise.race([resettled, life.until("counted"), overInTime(life, where)]);
    if (end?.event === "resettled") await this.#lives.resettle(life, where);
    await life.kill();
    this.#lives.buried(life, where, true);
    return end?.died ?? false;
  }

  /** Runs a plan once without a kill and kills the idle driver after it; what the plan did. */
  async count({ name, pool }: ScenarioShape): Promise<Extract<Entry, { event: "counted" }>> {
    const where = `counting "${name}"`;
    const life = this.#lives.start(pool, { seed: 0, scenario: name });
    await this.#lives.settleSurely(life, where);
    life.tell({ go: true });
    const counted = await life.until("counted");
    if (!counted) throw new ChaosError(where, [`the driver ended (${life.end})`]);
    await life.kill();
    this.#lives.buried(life, where, true);
    return counted;
  }

  /** Kills the driver after so many operations of a plan. False when the plan was over before. */
  async aim({ name, pool, isOpening = false }: ScenarioShape, after: number): Promise<boolean> {
    const where = `"${name}" killed after ${after} operations, pool ${pool}`;
    const life = this.#lives.start(pool, { seed: 0, scenario: name, after });
    const hasSettled = await this.#lives.settle(life, where);
    if (!hasSettled && !isOpening)
      throw new ChaosError(where, [`it ended (${life.end}) too early`]);
    if (hasSettled) life.tell({ go: true });
    const missed = await Promise.race([life.until("counted"), overInTime(life, where)]);
    if (missed) await life.kill();
    this.#lives.buried(life, where, hasSettled);
    return !missed;
  }

  /** A last check, and the end of the network. What is left in the namespace is the caller's to check. */
  async finish(): Promise<void> {
    const where = "after the last kill";
    const life = this.#lives.start(2, { seed: 0 });
    await this.#lives.settleSurely(life, where);
    await this.clear();
  }

  /** Ends the driver that is there, and removes the network, in whatever state it is. */
  async clear(): Promise<void> {
    const where = "destroying the network";
    await this.#lives.kill();
    const last = this.#lives.start(0, { seed: 0, end: true });
    await overInTime(last, where);
    if (last.end !== 0) throw new ChaosError(where, [`it ended with ${last.end}`]);
  }

  async end(): Promise<void> {
    await this.#lives.kill();
    await this.#lives.plugged.stop();
  }
}

interface ScenarioShape {
  name: string;
  pool: number;
  isOpening?: boolean;
}
