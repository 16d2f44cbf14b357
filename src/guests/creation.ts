// How a reserved guest comes to its TAP: a warm slot is armed in the same tick, a cold one is made
// in the create lane, of a donor from the pool where there is one.

import type { Span } from "@opentelemetry/api";
import { monotonicMs } from "../clock.js";
import { ForknetError, isRollback } from "../errors.js";
import type { PortClaim } from "../identity/claims.js";
import { remainsOf } from "../identity/stranded.js";
import type { Done, Ticket } from "../lanes/lane.js";
import { formatAlias } from "../lease/alias.js";
import { baseLimits, type KernelLimits, toKernelLimits } from "../limits.js";
import type { Parts } from "../parts.js";
import type { FormerSlot, SlotSpec } from "../plans/slot.js";
import { addChild } from "../telemetry/traces.js";
import type { Guest } from "./guest.js";
import { wiped } from "./lost-slot.js";
import type { Donor } from "./reservations.js";
import type { WarmSlot } from "./slot-pool.js";

/** `renamed`: a warm slot that was given another name, address or owner. */
export type SlotKind = "cold" | "warm" | "renamed";

/** One guest on its way to a TAP. */
interface Attempt {
  readonly guest: Guest;
  readonly span: Span;
  /** What its slot is made with, from when the job was made. */
  limits?: KernelLimits;
  /** Why nobody waits for it any more. */
  abandoned?: Error;
  /** Its job in the create lane. */
  ticket?: Ticket<number>;
}

export class Creation {
  readonly #parts: Parts;
  readonly #baseLimits: KernelLimits;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#baseLimits = toKernelLimits(baseLimits(parts.options.baseLimit), parts.options);
  }

  /**
   * Arms the slot for the guest; its limits follow in the shape lane. Synchronous unless the lease
   * is refused: then the slot is deleted before the promise rejects.
   */
  claimWarm(guest: Guest, slot: WarmSlot, span: Span): Promise<never> | undefined {
    guest.ifindex = slot.ifindex;
    guest.applied = this.#baseLimits;
    guest.isUnproved = true;
    guest.lease = { ...guest.lease, blocked: this.#parts.options.unshaped === "block" };
    try {
      this.#arm(guest, span);
    } catch (error) {
      return this.#giveUp(guest, error as Error);
    }
    this.#parts.shaping.start(guest);
    return undefined;
  }

  /**
   * Makes a slot with the final limits, out of the donor when there is one, and arms it: shaped at
   * once. A donor that turns out to be unfit is deleted, and the slot made from nothing. Rejects
   * with ABORTED when `guest.abandon` was called meanwhile; then, as after any failure, no kernel
   * object is left.
   */
  async makeCold(guest: Guest, donor: Donor | undefined, span: Span): Promise<SlotKind> {
    const attempt: Attempt = { guest, span };
    guest.abandon = (reason) => {
      attempt.abandoned ??= reason;
      attempt.ticket?.cancel(reason);
    };
    const kind = donor && (await this.#makeOf(donor, attempt)) ? "renamed" : "cold";
    if (kind === "cold") await this.#make(attempt);
    // In the tick of the arming: whoever abandons it counts on a guest that stays disarmed.
    if (attempt.abandoned) return this.#giveUp(guest, attempt.abandoned);
    try {
      this.#arm(guest, span);
    } catch (error) {
      return this.#giveUp(guest, error as Error);
    }
    guest.applied = attempt.limits;
    guest.shaping = "shaped";
    guest.shaped.resolve();
    return kind;
  }

  /**
   * False when the donor would not do. Its TAP is then gone, and nothing but its surplus was given
   * back.
   */
  async #makeOf({ slot, surplus }: Donor, attempt: Attempt): Promise<boolean> {
    const { reaper } = this.#parts;
    const former = { tapName: slot.port.tapName, ifindex: slot.ifindex, ...slot.address };
    const { guest } = attempt;
    guest.donorIfindex = slot.ifindex;
    try {
      await this.#make(attempt, former);
    } catch (error) {
      if (isHeldByAnother(error)) this.#parts.pool.tellOpened(slot);
      if (!(await reaper.reapQuietly(former, "pool"))) {
        // The surplus stays taken, too: the TAP has it.
        const { tapName, ifindex, ip, mac } = former;
        this.#parts.identities.stranded.add({ tapName, ifindex, ip, mac }, async () =>
          this.#giveBack(surplus),
        );
        const leftBehind = [`TAP ${former.tapName}`];
        const text = `${(error as Error).message}; and the warm slot it was to be made of could not be deleted`;
        throw new ForknetError("ERR_FORKNET_ROLLBACK", text, { leftBehind, cause: error });
      }
      this.#giveBack(surplus);
      // What an undo left behind is outside the TAP: nobody else would delete it, so it has to be
      // told.
      if (attempt.abandoned || isRollback(error)) throw error;
      return false;
    } finally {
      guest.donorIfindex = 0;
    }
    this.#giveBack(surplus);
    return true;
  }

  #giveBack({ address, tapName, class: own }: Donor["surplus"]): void {
    const { identities } = this.#parts;
    if (address) identities.releaseUnused(address);
    if (tapName) identities.releaseName(tapName);
    if (own) identities.releaseClass(own);
  }

  /**
   * One job of the create lane; afterwards the guest has its TAP, unarmed. Not async: its frame would
   * be a tenth of what a fork holds while it waits, and a thousand may wait.
   */
  #make(attempt: Attempt, former?: FormerSlot): Promise<void> {
    const { group } = attempt.guest.lease;
    if (group === undefined) return this.#submit(attempt, former);
    return this.#parts.groups.ready(group).then(() => this.#submit(attempt, former));
  }

  #submit(attempt: Attempt, former: FormerSlot | undefined): Promise<void> {
    if (attempt.abandoned) return Promise.reject(attempt.abandoned);
    const ticket = this.#parts.lanes.create.submit(() => this.#specOf(attempt, former));
    attempt.ticket = ticket;
    return ticket.done.then(
      (done) => this.#made(attempt, done),
      (error: Error) => this.#failed(attempt, error),
    );
  }

  async #failed({ guest, abandoned }: Attempt, error: Error): Promise<never> {
    const told = await wiped(this.#parts, error, remainsOf(guest.lease, guest.port as PortClaim));
    // What is left behind has to be told, and keeps its identity, whoever still waits.
    throw abandoned && !isRollback(told) ? abandoned : told;
  }

  #made({ guest, span }: Attempt, { value: ifindex, time }: Done<number>): void {
    this.#parts.identities.classCreated((guest.port as PortClaim).class);
    guest.ifindex = ifindex;
    addChild(span, "forknet.slot.wait", time.queuedMs, time.startedMs);
    addChild(span, "forknet.slot.create", time.startedMs, time.endedMs);
  }

  #specOf(attempt: Attempt, former: FormerSlot | undefined): SlotSpec {
    const { lease } = attempt.guest;
    const port = attempt.guest.port as PortClaim;
    const limits = toKernelLimits(lease.limits, this.#parts.options);
    attempt.limits = limits;
    return {
      tapName: port.tapName,
      ip: lease.ip,
      mac: lease.mac,
      class: port.class,
      limits,
      alias: formatAlias(lease),
      ...(lease.owner ? { owner: lease.owner } : {}),
      ...(former ? { former } : {}),
    };
  }

  /**
   * Deletes the TAP of a guest that will not have it, and rejects with `error`; with ROLLBACK when
   * the TAP stays.
   */
  async #giveUp(guest: Guest, error: Error): Promise<never> {
    const { tap: tapName, ifindex } = guest.view;
    guest.ifindex = 0;
    try {
      await this.#parts.reaper.reap(
        { tapName, ifindex, ip: guest.ip, mac: guest.lease.mac },
        "failed_create",
      );
    } catch (refused) {
      const text = `${error.message}; deleting ${tapName} failed too: ${(refused as Error).message}`;
      throw new ForknetError("ERR_FORKNET_ROLLBACK", text, {
        leftBehind: [`TAP ${tapName}`],
        cause: error,
      });
    }
    throw error;
  }

  #arm(guest: Guest, span: Span): void {
    const startedMs = monotonicMs();
    this.#parts.leases.arm(guest.ifindex, guest.lease);
    addChild(span, "forknet.arm", startedMs, monotonicMs());
    guest.state = "active";
  }
}

/** Of what making a slot of a donor asks for, only the donor itself is opened. */
function isHeldByAnother(error: unknown): boolean {
  const { syscall, errnoName } = error as ForknetError;
  return syscall === "TUNSETIFF" && errnoName === "EBUSY";
}

/** ERR_FORKNET_ABORTED with the caller's reason as its cause. */
export function aborted(text: string, cause?: unknown): ForknetError {
  return new ForknetError("ERR_FORKNET_ABORTED", text, { cause });
}
