// Warm slots: TAPs on the bridge with base limits and a bound address, unarmed, so that a fork only
// has to arm one. Refills in the background, behind every fork that waits for a cold slot. A slot
// is handed out once.

import { monotonicMs } from "../clock.js";
import { BRIDGE_PORTS, type ForknetError, isRollback } from "../errors.js";
import { publish } from "../events/events.js";
import type { AddressClaim, PortClaim } from "../identity/claims.js";
import type { Identities } from "../identity/identities.js";
import { type Remains, remainsOf } from "../identity/stranded.js";
import type { Ipv4, Mac } from "../kernel/messages.js";
import type { Lane } from "../lanes/lane.js";
import type { Late } from "../lanes/late.js";
import { formatSlotAlias } from "../lease/alias.js";
import type { KernelLimits } from "../limits.js";
import type { SlotSpec } from "../plans/slot.js";
import type { Reaper } from "./reaper.js";

/** A TAP that waits for a guest, with everything bound to it. */
export interface WarmSlot {
  readonly address: AddressClaim;
  readonly port: PortClaim;
  readonly ifindex: number;
  /** On the clock of clock.ts. */
  readonly madeMs: number;
}

/** What a refill is made from. */
export interface PoolSource {
  bridge: string;
  size: number;
  baseLimits: KernelLimits;
  identities: Identities;
  lane: Lane<Late<SlotSpec>, number>;
  reaper: Reaper;
  /** See lost-slot.ts. */
  wiped: (error: Error, remains: Remains) => Promise<Error>;
  /** IFF_* of a TAP, without waiting for RTNL; undefined when it is gone. */
  flagsOf: (ifindex: number) => number | undefined;
  /** Forks or limits are on their way. */
  isBusy: () => boolean;
  /** Ports that guests have on the bridge. */
  guests: () => number;
}

/** Ports that stay free of warm slots, for forks with an exact name or address. */
const SPARE_PORTS = 64;
/** More would keep a fork that finds the pool empty waiting behind the refill. */
const MOST_IN_THE_MAKING = 8;
const REFILL_DELAY_MS = 2;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 30_000;
/** Whoever opens every slot that comes must not keep the host busy with making more. */
const OPENED_PAUSE_MS = 1000;
/** net/if.h: a TAP that is up has it while a process has it open. */
const IFF_RUNNING = 0x40;
/** ... and a new one, too, until link watch has looked at it, up to a second later (net/core/link_watch.c). */
const RUNNING_IS_TRUE_AFTER_MS = 5000;

export class SlotPool {
  readonly #source: PoolSource;
  readonly #ready = new Map<Ipv4, WarmSlot>();
  readonly #making = new Set<Promise<void>>();
  /** Slots whose TAP is being deleted; their identity is free when it is gone. */
  readonly #leaving = new Map<WarmSlot, Promise<boolean>>();
  #pauseMs = 0;
  #pause: NodeJS.Timeout | undefined;
  #refill: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(source: PoolSource) {
    this.#source = source;
  }

  get counts(): { ready: number; making: number } {
    return { ready: this.#ready.size, making: this.#making.size };
  }

  /** True when a slot that is ready has this address. */
  holds(ip: Ipv4): boolean {
    return this.#ready.has(ip);
  }

  /** All slots that are ready. */
  slots(): WarmSlot[] {
    return [...this.#ready.values()];
  }

  /** True while this very slot is ready. */
  has(slot: WarmSlot): boolean {
    return this.#ready.get(slot.address.ip) === slot;
  }

  /** Deletes a slot that is not fit for a guest, and makes another; false when its TAP would not go. */
  discard(slot: WarmSlot): Promise<boolean> {
    this.#refillLater();
    return this.#discard(slot);
  }

  /**
   * Takes a slot that fits the wish out of the pool; undefined when there is none. Slots whose TAP
   * somebody deleted or has open are written off on the way.
   */
  take(wish: { ip?: Ipv4; mac?: Mac }): WarmSlot | undefined {
    for (;;) {
      const slot = wish.ip === undefined ? this.#oldest() : this.#ready.get(wish.ip);
      if (!slot || (wish.mac !== undefined && wish.mac !== slot.address.mac)) return undefined;
      this.#ready.delete(slot.address.ip);
      this.#refillLater();
      const flags = this.#source.flagsOf(slot.ifindex);
      if (flags === undefined) {
        publish("forknet:slot-lost", { bridge: this.#source.bridge, tap: slot.port.tapName });
        void this.#discard(slot);
      } else if ((flags & IFF_RUNNING) === 0 || isYoung(slot)) return slot;
      else this.#writeOff(slot);
    }
  }

  /** A process has this slot open, or had: nobody knows what it left there, so no guest gets it. */
  opened(slot: WarmSlot): void {
    if (this.has(slot)) this.#writeOff(slot);
  }

  #writeOff(slot: WarmSlot): void {
    this.tellOpened(slot);
    void this.#discard(slot);
    this.#rest(OPENED_PAUSE_MS);
  }

  /** Says that a process had a slot open which is no guest's and not in the pool any more. */
  tellOpened({ port }: WarmSlot): void {
    publish("forknet:slot-opened", { bridge: this.#source.bridge, tap: port.tapName });
  }

  /** Takes back a slot that `take` gave and that nobody has touched. */
  putBack(slot: WarmSlot): void {
    this.#ready.set(slot.address.ip, slot);
  }

  /**
   * Gives back what keeps a wish from being granted: the slot that has its address, MAC or TAP
   * name, or any slot when the subnet has run out. False when no slot is in the way.
   */
  async yieldTo(wish: { ip?: Ipv4; mac?: Mac; tapName?: string }): Promise<boolean> {
    await Promise.all(this.#making);
    const isInTheWay = ({ address, port }: WarmSlot) =>
      address.ip === wish.ip || address.mac === wish.mac || port.tapName === wish.tapName;
    const leaving = [...this.#leaving.keys()].find(isInTheWay);
    if (leaving) return this.#leaving.get(leaving) ?? false;
    const hasRunOut = this.#source.identities.freeAddresses === 0;
    const slot =
      [...this.#ready.values()].find(isInTheWay) ?? (hasRunOut ? this.#oldest() : undefined);
    return slot ? this.#discard(slot) : false;
  }

  /** Starts as many slots as are missing. Returns at once. */
  fill(): void {
    while (
      !this.#closed &&
      !this.#pause &&
      this.#making.size < MOST_IN_THE_MAKING &&
      this.#missing() > 0
    ) {
      const made = this.#make().finally(() => {
        this.#making.delete(made);
        this.fill();
      });
      this.#making.add(made);
    }
  }

  /**
   * A burst's forks and limits come before the slots of the next one: both want the processor and
   * RTNL.
   */
  #refillLater(): void {
    if (this.#refill) return;
    this.#refill = setTimeout(() => {
      this.#refill = undefined;
      if (this.#source.isBusy()) this.#refillLater();
      else this.fill();
    }, REFILL_DELAY_MS).unref();
  }

  /** Stops refilling and deletes every slot. */
  async drain(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#pause);
    clearTimeout(this.#refill);
    await Promise.all(this.#making);
    for (const slot of this.#ready.values()) void this.#discard(slot);
    await Promise.all(this.#leaving.values());
  }

  #oldest(): WarmSlot | undefined {
    return this.#ready.values().next().value;
  }

  /**
   * In a small subnet half of what is free stays free, so that the pool never starves an exact
   * wish.
   */
  #missing(): number {
    const { size, identities, guests } = this.#source;
    const held = this.#ready.size + this.#making.size;
    const byAddresses = Math.floor((identities.freeAddresses + held) / 2);
    const byPorts = BRIDGE_PORTS - SPARE_PORTS - guests();
    return Math.min(size, byAddresses, byPorts) - held;
  }

  async #make(): Promise<void> {
    const { identities, lane } = this.#source;
    let address: AddressClaim | undefined;
    let port: PortClaim | undefined;
    try {
      address = identities.claimAddress({});
      port = identities.claimPort(address.ip);
      const spec = this.#specOf(address, port);
      const { value: ifindex } = await lane.submit(() => spec, { background: true }).done;
      identities.classCreated(port.class);
      this.#pauseMs = 0;
      const slot = { address, port, ifindex, madeMs: monotonicMs() };
      if (this.#closed) await this.#discard(slot);
      else this.#ready.set(address.ip, slot);
    } catch (error) {
      this.#backOff(await this.#unmade(error as Error, address, port));
    }
  }

  /** Gives back what a slot that was not made had claimed; resolves with the error to tell. */
  async #unmade(error: Error, address?: AddressClaim, port?: PortClaim): Promise<ForknetError> {
    const { identities } = this.#source;
    const giveBack = async () => {
      if (port) identities.releasePort(port);
      if (address) identities.releaseUnused(address);
    };
    if (!address || !port) {
      await giveBack();
      return error as ForknetError;
    }
    const remains = remainsOf(address, port);
    const told = (await this.#source.wiped(error, remains)) as ForknetError;
    // What an undo left behind must not be claimed by anybody.
    if (isRollback(told)) identities.stranded.add(remains, giveBack);
    else await giveBack();
    return told;
  }

  #specOf(address: AddressClaim, port: PortClaim): SlotSpec {
    const alias = formatSlotAlias(address.ip, address.mac, port.class.minor);
    const limits = this.#source.baseLimits;
    return { tapName: port.tapName, ...address, class: port.class, limits, alias };
  }

  #backOff(error: ForknetError): void {
    const isOver = this.#closed || this.#pause !== undefined;
    const isFirst = this.#pauseMs === 0 && !isOver;
    if (isFirst || error.code === "ERR_FORKNET_ROLLBACK")
      publish("forknet:pool-failed", { bridge: this.#source.bridge, error });
    if (isOver) return;
    this.#pauseMs = Math.min(Math.max(this.#pauseMs * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
    this.#rest(this.#pauseMs);
  }

  /** Makes no slot for so long. */
  #rest(pauseMs: number): void {
    if (this.#closed || this.#pause) return;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.fill();
    }, pauseMs).unref();
  }

  /** Deletes a slot's TAP and then gives its identity back; false when the TAP would not go. */
  #discard(slot: WarmSlot): Promise<boolean> {
    this.#ready.delete(slot.address.ip);
    const gone = this.#delete(slot).finally(() => this.#leaving.delete(slot));
    this.#leaving.set(slot, gone);
    return gone;
  }

  async #delete({ address, port, ifindex }: WarmSlot): Promise<boolean> {
    const { identities, reaper } = this.#source;
    const { tapName } = port;
    const giveBack = async () => {
      identities.releasePort(port);
      identities.releaseUnused(address);
    };
    const isGone = await reaper.reapQuietly({ tapName, ifindex, ...address }, "pool");
    if (isGone) await giveBack();
    else identities.stranded.add({ tapName, ifindex, ...address }, giveBack);
    return isGone;
  }
}

/** Link watch may not have looked at it yet. */
function isYoung({ madeMs }: WarmSlot): boolean {
  return monotonicMs() - madeMs < RUNNING_IS_TRUE_AFTER_MS;
}
