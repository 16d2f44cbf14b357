// NAT and firewall of one network, from its opening to its destruction. The rules outlive this
// process, as the guests do; what they say is in rules.ts, how they get there in firewall.ts.

import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { configError, ForknetError } from "../errors.js";
import { loadAddon } from "../kernel/addon.js";
import { diskError } from "../lease/state-dir.js";
import type { ResolvedOptions } from "../options.js";
import type { Difference } from "../plans/finding.js";
import type { Chain } from "./chains.js";
import {
  asTarget,
  bring,
  differing,
  type FirewallState,
  type FirewallTarget,
  isOwnTable,
  NOTHING,
  readFirewall,
  readTable,
} from "./firewall.js";
import { enableForwarding, forwardingIsOff, isForwarding } from "./forwarding.js";
import { iptablesAccepts, nftAccepts, tableName, tableText, type Wish } from "./rules.js";

/** What was done while opening, and how to take it back. */
interface Undo {
  what: string;
  run: () => Promise<void> | void;
}

export class Nat {
  readonly #bridge: string;
  readonly #options: ResolvedOptions["nat"];
  readonly #target: FirewallTarget;
  /** In the state directory: there may be rules of this network. */
  readonly #record: string;
  readonly #undo: Undo[] = [];
  /** The table as it was listed when it had just been made. */
  #listed: string | undefined;
  /** One change or look at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ bridge, subnet, isolated, translate, nat, stateDir }: ResolvedOptions) {
    this.#bridge = bridge;
    this.#options = nat;
    this.#record = join(stateDir, "nat");
    this.#target = nat
      ? targetOf({
          bridge,
          subnet,
          isolated,
          translate,
          uplink: nat.uplink,
          allowHost: nat.allowHost,
        })
      : NOTHING;
  }

  /** Whether opening has anything to do here: rules to make, or those of an earlier open to remove. */
  get isConcerned(): boolean {
    return this.#options !== undefined || existsSync(this.#record);
  }

  /**
   * Puts the rules in place, or replaces what an earlier open left. Rejects with CONFIG (no such
   * uplink, forwarding is off), CONFLICT (a table of our name that is not ours), UNSUPPORTED (a
   * command is not installed), PERMISSION or KERNEL; then nothing has changed.
   */
  async establish(): Promise<void> {
    try {
      this.#checkUplink();
      this.#forward();
      const before = await this.#readOwn();
      if (this.#options) this.#keepRecord();
      this.#undo.push({
        what: `the firewall rules of ${this.#bridge}`,
        run: () => this.#goBackTo(before),
      });
      await bring(this.#bridge, before, this.#target);
      this.#listed = await readTable(this.#bridge);
    } catch (error) {
      throw await this.takeBack(error);
    }
  }

  /**
   * The network did not open: all becomes as it was before. Resolves with the error to throw:
   * `error`, or ROLLBACK when something could not be undone.
   */
  async takeBack(error: unknown): Promise<unknown> {
    const left: string[] = [];
    for (const { what, run } of this.#undo.splice(0).reverse()) {
      try {
        await run();
      } catch {
        left.push(what);
      }
    }
    if (left.length === 0) return error;
    const { message } = error as Error;
    const text = `${message}; undoing it failed too, left behind: ${left.join(", ")}`;
    return new ForknetError("ERR_FORKNET_ROLLBACK", text, { leftBehind: left, cause: error });
  }

  /** The network is open: what was done stays. */
  settle(): void {
    this.#undo.length = 0;
    if (!this.#options) this.#dropRecord();
  }

  /** What is not as it should be, or that it cannot be told. Changes nothing, never rejects. */
  compare(): Promise<Difference[]> {
    return this.#inTurn(async () => {
      if (!this.#options) return [];
      return this.#differences().catch((error: unknown) => [
        { what: "nat", expected: this.#wanted, found: `unknown (${(error as Error).message})` },
      ]);
    });
  }

  /** Puts right what compare() tells. Rejects as establish() does. */
  repair(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#options) return;
      this.#forward();
      this.settle();
      await bring(this.#bridge, await this.#readOwn(), this.#target);
      this.#listed = await readTable(this.#bridge);
    });
  }

  /** Removes every rule of this network. IPv4 forwarding stays on: others may count on it by now. */
  remove(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#options) return;
      await bring(this.#bridge, await this.#readOwn(true), NOTHING);
      this.#dropRecord();
    });
  }

  get #wanted(): string {
    return `table ip ${tableName(this.#bridge)} as it was made`;
  }

  async #differences(): Promise<Difference[]> {
    const { table, chains } = await readFirewall(this.#bridge);
    const found = [];
    if (!isForwarding()) found.push({ what: "ip_forward", expected: "1", found: "0" });
    if (table !== this.#listed) {
      const text = table === undefined ? "nothing" : "changed";
      found.push({ what: "nat", expected: this.#wanted, found: text });
    }
    for (const chain of differing(chains, this.#target)) {
      const text = (rules: readonly unknown[]) => `${rules.length || "no"} accept rules`;
      const where = `in ${chain.tool} ${chain.name}`;
      const expected = `${text(this.#target.rulesOf(chain))} ${where}`;
      found.push({ what: "nat-accept", expected, found: text(chain.held) });
    }
    return found;
  }

  #checkUplink(): void {
    const uplink = this.#options?.uplink;
    if (uplink === undefined) return;
    const netlink = new (loadAddon().Netlink)();
    try {
      if (netlink.link({ name: uplink })) return;
    } finally {
      netlink.close();
    }
    throw configError("nat.uplink", "an interface that exists", uplink);
  }

  #forward(): void {
    if (!this.#options || isForwarding()) return;
    if (!this.#options.enableForwarding) throw forwardingIsOff();
    this.#undo.push({ what: "net.ipv4.ip_forward = 1", run: enableForwarding() });
  }

  async #readOwn(isLeaving = false): Promise<FirewallState> {
    const state = await readFirewall(this.#bridge);
    if (state.table === undefined || isOwnTable(state.table, this.#bridge)) return state;
    // What is not ours stays when ours goes.
    if (this.#target === NOTHING || isLeaving) return { ...state, table: undefined };
    const text = `table ip ${tableName(this.#bridge)} exists and is not the network's`;
    throw new ForknetError("ERR_FORKNET_CONFLICT", text);
  }

  async #goBackTo(before: FirewallState): Promise<void> {
    await bring(this.#bridge, await this.#readOwn(), asTarget(before));
  }

  #keepRecord(): void {
    if (existsSync(this.#record)) return;
    try {
      writeFileSync(this.#record, "");
    } catch (error) {
      throw diskError(this.#record, error);
    }
    this.#undo.push({ what: this.#record, run: () => rmSync(this.#record, { force: true }) });
  }

  #dropRecord(): void {
    try {
      rmSync(this.#record, { force: true });
    } catch (error) {
      throw diskError(this.#record, error);
    }
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run);
    this.#turn = result.catch(() => {});
    return result;
  }
}

function targetOf(wish: Wish): FirewallTarget {
  const nft = nftAccepts(wish);
  const iptables = iptablesAccepts(wish);
  const rulesOf = ({ drops, tool }: Chain) => {
    if (!drops) return [];
    return tool === "nft" ? nft : iptables;
  };
  return { table: tableText(wish), rulesOf };
}
