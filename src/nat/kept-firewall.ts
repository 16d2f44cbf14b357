// The rules of an open network: put in place as a whole, and compared with what is in the kernel ever
// after. Its calls must not overlap.

import { createHash } from "node:crypto";
import { ForknetError } from "../errors.js";
import type { Difference } from "../plans/finding.js";
import { isLegacyInUse } from "./chains.js";
import {
  asTarget,
  bring,
  differing,
  type FirewallState,
  type FirewallTarget,
  heldBy,
  isOwnTable,
  NOTHING,
  readEverything,
  readFirewall,
  readTable,
} from "./firewall.js";
import { isWhole, tableName } from "./rules.js";
import { type News, Ruleset } from "./ruleset.js";

/** Somebody who removes the table at once, and again, is met by whoever looks next. */
const MOST_ATTEMPTS = 3;

export class KeptFirewall {
  readonly #bridge: string;
  readonly #target: FirewallTarget;
  /** Undefined before anything was put in place, and after stop(). */
  #ruleset: Ruleset | undefined;
  #isStopped = false;
  /** The table as it was listed when it had just been made; undefined: nobody has seen it so. */
  #listed: string | undefined;
  /** All rules of the host when they were last found to be right. */
  #known = "";

  constructor(bridge: string, target: FirewallTarget) {
    this.#bridge = bridge;
    this.#target = target;
  }

  /** What nobody tells of has to be looked at from time to time. */
  get isUnheard(): boolean {
    return (this.#ruleset?.isDeaf ?? false) || isLegacyInUse();
  }

  /** What others did since the last call. */
  news(): News {
    return this.#ruleset?.take() ?? { isNews: false, by: undefined };
  }

  /** Listens no more. */
  stop(): void {
    this.#isStopped = true;
    this.#ruleset?.close();
    this.#ruleset = undefined;
  }

  /** Rejects with CONFLICT when the table is not ours, and as reading does. */
  async read(isLeaving = false): Promise<FirewallState> {
    return this.#ownIn(await readFirewall(this.#bridge), isLeaving);
  }

  #ownIn(state: FirewallState, isLeaving = false): FirewallState {
    if (state.table === undefined || isOwnTable(state.table, this.#bridge)) return state;
    // What is not ours stays when ours goes.
    if (this.#target === NOTHING || isLeaving) return { ...state, table: undefined };
    const text = `table ip ${tableName(this.#bridge)} exists and is not the network's`;
    throw new ForknetError("ERR_FORKNET_CONFLICT", text);
  }

  /**
   * From a state that was just read. Others may change rules meanwhile: what was not seen as it was
   * made counts as different, not as right. An own table that is right is not made again.
   */
  async put(before: FirewallState): Promise<void> {
    if (this.#target !== NOTHING && !this.#isStopped) this.#ruleset ??= new Ruleset();
    let state = before;
    for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt++) {
      const isRight = this.#isRight(state.table);
      if (!isRight) this.#listed = undefined;
      const untouched = isRight ? { table: undefined } : {};
      try {
        await this.#bring({ ...state, ...untouched }, { ...this.#target, ...untouched });
      } catch (error) {
        // The own table comes first, and is there although another tool refused.
        await this.#see().catch(() => undefined);
        throw error;
      }
      if (this.#target.table === undefined || (await this.#see())) return;
      state = await this.read();
    }
  }

  /** Remembers the own table as nft lists it; false when it is not what was made. */
  async #see(): Promise<boolean> {
    const listed = await readTable(this.#bridge);
    const { table } = this.#target;
    const isMade = listed !== undefined && table !== undefined && isWhole(listed, table);
    if (isMade) this.#listed = listed;
    return isMade;
  }

  /**
   * Puts the own table back where it is not as it was made, whatever other tables are like: without it
   * guests reach what they must not. Rejects as read() does.
   */
  async restoreTable(): Promise<void> {
    const table = await readTable(this.#bridge);
    if (this.#isRight(table)) return;
    const state = { table, chains: [], hasOtherNetworks: false };
    await this.put(this.#ownIn(state));
  }

  /** Puts an earlier state in place: the way back. */
  async goBackTo(before: FirewallState): Promise<void> {
    await this.#bring(await this.read(), asTarget(before));
  }

  /** Removes every rule; resolves with what was there. */
  async remove(): Promise<FirewallState> {
    const state = await this.read(true);
    await this.#bring(state, NOTHING);
    return state;
  }

  #isRight(table: string | undefined): boolean {
    return table !== undefined && table === this.#listed;
  }

  /**
   * Empty at once while no rule of the host has changed since all was right. Where the own table is not
   * as it was made nothing else is looked at.
   */
  async look(): Promise<Difference[]> {
    const table = await readTable(this.#bridge);
    if (!this.#isRight(table)) return [this.#tableDiffers(table)];
    const now = createHash("sha256")
      .update(await readEverything())
      .digest("hex");
    if (now === this.#known) return [];
    const differences = await this.differences();
    // What changed between the two readings is heard, and looked at again.
    if (differences.length === 0) this.#known = now;
    return differences;
  }

  async differences(): Promise<Difference[]> {
    const { table, chains } = await readFirewall(this.#bridge);
    const found: Difference[] = [];
    if (!this.#isRight(table)) found.push(this.#tableDiffers(table));
    for (const chain of differing(chains, this.#target)) {
      const text = ({ length }: readonly unknown[]) => `${length || "no"} accept rules`;
      const wanted = this.#target.rulesOf(chain);
      const held = heldBy(chain);
      const isAstray = held.length === wanted.length;
      found.push({
        what: "nat-accept",
        expected: `${text(wanted)} in ${chain.tool} ${chain.name}`,
        found: `${text(held)}${isAstray ? ", others or out of place" : ""}`,
      });
    }
    return found;
  }

  /** What a comparison comes to that failed. */
  unknown(error: unknown): Difference[] {
    return [this.#tableIs(`unknown (${(error as Error).message})`)];
  }

  #tableDiffers(table: string | undefined): Difference {
    return this.#tableIs(table === undefined ? "nothing" : "changed");
  }

  #tableIs(found: string): Difference {
    return { what: "nat", expected: `table ip ${tableName(this.#bridge)} as it was made`, found };
  }

  async #bring(state: FirewallState, target: FirewallTarget): Promise<void> {
    const change = () => bring(this.#bridge, state, target);
    if (this.#ruleset) await this.#ruleset.leaveOut(change);
    else await change();
  }
}
