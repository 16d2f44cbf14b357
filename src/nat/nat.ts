// NAT and firewall of one network, from its opening to its destruction. The rules outlive this
// process, as the guests do; what they say is in rules.ts, how they get there in firewall.ts.

import { configError, ForknetError } from "../errors.js";
import type { ResolvedOptions } from "../options.js";
import type { Difference, Warning } from "../plans/finding.js";
import type { Chain } from "./chains.js";
import {
  asTarget,
  bring,
  differing,
  type FirewallState,
  type FirewallTarget,
  heldBy,
  isOwnTable,
  NOTHING,
  readFirewall,
  readTable,
} from "./firewall.js";
import {
  allowedOf,
  asTurnedOn,
  differencesOf,
  type ForwardingWish,
  findLacking,
  forbiddenOf,
  isLink,
  type Lacking,
  putBack,
  type TurnedOn,
  turnOn,
} from "./forwarding.js";
import type { NatRecord } from "./nat-record.js";
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
  readonly #forwarding: ForwardingWish;
  readonly #record: NatRecord;
  readonly #undo: Undo[] = [];
  /** The table as it was listed when it had just been made. */
  #listed: string | undefined;
  /** One change or look at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ bridge, subnet, isolated, translate, nat }: ResolvedOptions, record: NatRecord) {
    this.#bridge = bridge;
    this.#options = nat;
    this.#record = record;
    const { uplink, enableForwarding: enable = false } = nat ?? {};
    this.#forwarding = { bridge, uplink, enable };
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
    return this.#options !== undefined || this.#record.exists;
  }

  /**
   * Puts the rules in place, or replaces what an earlier open left. Rejects with CONFIG (no such
   * uplink, forwarding is off), CONFLICT (a table of our name that is not ours), UNSUPPORTED (a
   * command is not installed), PERMISSION or KERNEL; then nothing has changed. What is CONFIG for a
   * new network does not lock out one that `isThere`: warnings() and compare() tell it.
   */
  async establish(isThere: boolean): Promise<void> {
    try {
      const { uplink } = this.#forwarding;
      if (uplink !== undefined && !isThere && !isLink(uplink))
        throw configError("nat.uplink", "an interface that exists", uplink);
      const lacking = this.#lacking(isThere);
      const before = await this.#readOwn();
      if (lacking) await this.#forward(lacking);
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
  async settle(): Promise<void> {
    this.#undo.length = 0;
    if (this.#options || !this.#record.exists) return;
    putBack(this.#record.read());
    await this.#record.remove();
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
      await bring(this.#bridge, await this.#readOwn(), this.#target);
      this.#listed = await readTable(this.#bridge);
      // Last, because it may be refused: the firewall is there all the same.
      const lacking = this.#lacking();
      if (lacking) await this.#forward(lacking);
      await this.settle();
    });
  }

  /**
   * Removes every rule of this network, and turns off the forwarding of links that it turned on. The
   * host's own switch stays on, and so do the links when other networks are here: they count on it.
   */
  remove(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#options) return;
      const state = await this.#readOwn(true);
      await bring(this.#bridge, state, NOTHING);
      if (!state.hasOtherNetworks) putBack(this.#record.read());
      await this.#record.remove();
    });
  }

  /** What only a person can put right. */
  warnings(): Warning[] {
    if (!this.#options) return [];
    const { uplink } = this.#forwarding;
    const forbidden = forbiddenOf(findLacking(this.#forwarding), this.#forwarding);
    return [
      ...(uplink === undefined || isLink(uplink) ? [] : [uplinkGone(uplink)]),
      ...(forbidden === undefined ? [] : [{ what: "forwarding", text: forbidden }]),
    ];
  }

  get #wanted(): string {
    return `table ip ${tableName(this.#bridge)} as it was made`;
  }

  async #differences(): Promise<Difference[]> {
    const { table, chains } = await readFirewall(this.#bridge);
    const found = differencesOf(findLacking(this.#forwarding));
    if (table !== this.#listed) {
      const text = table === undefined ? "nothing" : "changed";
      found.push({ what: "nat", expected: this.#wanted, found: text });
    }
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

  /**
   * What may be turned on of what lacks. Throws CONFIG for the rest, unless the network `isThere`:
   * then the rest is told by warnings() and compare().
   */
  #lacking(isThere = false): Lacking | undefined {
    if (!this.#options) return undefined;
    const lacking = findLacking(this.#forwarding);
    const forbidden = forbiddenOf(lacking, this.#forwarding);
    if (forbidden && !isThere) throw new ForknetError("ERR_FORKNET_CONFIG", forbidden);
    return allowedOf(lacking, this.#forwarding);
  }

  /** Notes it first: whoever dies in between leaves a note too many. */
  async #forward(lacking: Lacking): Promise<void> {
    await this.#note(lacking);
    turnOn(lacking, (what, run) => this.#undo.push({ what, run }));
  }

  async #note(lacking: Lacking): Promise<void> {
    const hadRecord = this.#record.exists;
    const former = this.#record.read();
    const now = asTurnedOn(lacking);
    if (hadRecord && now.length === 0) return;
    const isAnew = ({ ifindex }: TurnedOn) => now.some((one) => one.ifindex === ifindex);
    await this.#record.write([...former.filter((one) => !isAnew(one)), ...now]);
    const run = hadRecord ? () => this.#record.write(former) : () => this.#record.remove();
    this.#undo.push({ what: this.#record.path, run });
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

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run);
    this.#turn = result.catch(() => {});
    return result;
  }
}

function uplinkGone(uplink: string): Warning {
  const text = `the uplink ${uplink} does not exist: guests reach nothing beyond this host until it is back`;
  return { what: "uplink", text };
}

function targetOf(wish: Wish): FirewallTarget {
  const nft = nftAccepts(wish);
  const iptables = iptablesAccepts(wish);
  const rulesOf = ({ place: after, tool }: Chain) => {
    if (after === undefined) return [];
    return (tool === "nft" ? nft : iptables).map((rule) => ({ ...rule, after }));
  };
  return { table: tableText(wish), rulesOf };
}
