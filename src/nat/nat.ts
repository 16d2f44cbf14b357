// NAT and firewall of one network, from its opening to its destruction. The rules outlive this
// process, as the guests do; what they say is in rules.ts, how they get there in firewall.ts.

import { monotonicMs } from "../clock.js";
import { configError, ForknetError } from "../errors.js";
import type { ResolvedOptions } from "../options.js";
import type { Difference, Warning } from "../plans/finding.js";
import type { Chain } from "./chains.js";
import { Contest } from "./contest.js";
import { type FirewallTarget, NOTHING } from "./firewall.js";
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
import { KeptFirewall } from "./kept-firewall.js";
import type { NatRecord } from "./nat-record.js";
import { iptablesAccepts, nftAccepts, tableText, type Wish } from "./rules.js";

/** What was done while opening, and how to take it back. */
interface Undo {
  what: string;
  run: () => Promise<void> | void;
}

export class Nat {
  readonly #bridge: string;
  readonly #options: ResolvedOptions["nat"];
  /** Its calls are made in turn, but for those that only listen. */
  readonly firewall: KeptFirewall;
  /** Whoever repairs without being asked notes it here. */
  readonly contest = new Contest();
  readonly #forwarding: ForwardingWish;
  readonly #record: NatRecord;
  readonly #undo: Undo[] = [];
  /** One change or look at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ bridge, subnet, isolated, translate, nat }: ResolvedOptions, record: NatRecord) {
    this.#bridge = bridge;
    this.#options = nat;
    this.#record = record;
    const { uplink, enableForwarding: enable = false } = nat ?? {};
    this.#forwarding = { bridge, uplink, enable };
    const wish = { bridge, subnet, isolated, translate, uplink };
    const target = nat ? targetOf({ ...wish, allowHost: nat.allowHost }) : NOTHING;
    this.firewall = new KeptFirewall(bridge, target);
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
      const before = await this.firewall.read();
      if (lacking) await this.#forward(lacking);
      this.#undo.push({
        what: `the firewall rules of ${this.#bridge}`,
        run: () => this.firewall.goBackTo(before),
      });
      await this.firewall.put(before);
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
    this.firewall.stop();
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
      try {
        const lacking = differencesOf(findLacking(this.#forwarding));
        return [...lacking, ...(await this.firewall.differences())];
      } catch (error) {
        return this.firewall.unknown(error);
      }
    });
  }

  /** The firewall's part of compare(), at little cost while no rule of the host has changed. */
  look(): Promise<Difference[]> {
    return this.#inTurn(async () =>
      this.#options
        ? this.firewall.look().catch((error: unknown) => this.firewall.unknown(error))
        : [],
    );
  }

  /** Puts right what look() tells. Rejects as establish() does. */
  repairFirewall(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#options) await this.#putBack();
    });
  }

  /** Puts right what compare() tells. Rejects as establish() does. */
  repair(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#options) return;
      await this.#putBack();
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
      const { hasOtherNetworks } = await this.firewall.remove();
      if (!hasOtherNetworks) putBack(this.#record.read());
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
      ...contested(this.contest),
    ];
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

  async #putBack(): Promise<void> {
    await this.firewall.restoreTable();
    await this.firewall.put(await this.firewall.read());
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

function contested(contest: Contest): Warning[] {
  const nowMs = monotonicMs();
  if (!contest.isOn(nowMs)) return [];
  const by = contest.by ? `, the last time against ${contest.by.name} (${contest.by.pid})` : "";
  const text = `the firewall's rules were put back ${contest.repairs(nowMs)} times in the last minute${by}`;
  return [{ what: "firewall", text }];
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
