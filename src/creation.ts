// How a guest comes to its TAP: createAllocation and recreateAllocation. The identity is reserved synchronously
// and visible at once; a warm slot is armed in the same tick, a cold one is made in the create lane.

import type { Span } from "@opentelemetry/api";
import { monotonicMs } from "./clock.js";
import { Deferred } from "./deferred.js";
import { ForknetError } from "./errors.js";
import { Guest } from "./guest.js";
import type { AddressClaim, PortClaim } from "./identity/identities.js";
import { formatAlias } from "./lease/alias.js";
import { baseLimits, guaranteedUpload, type KernelLimits, type Limits, toKernelLimits } from "./limits.js";
import type { Parts } from "./parts.js";
import type { ResolvedRequest } from "./request.js";
import type { WarmSlot } from "./slot-pool.js";
import { addChild } from "./telemetry/traces.js";

export type SlotKind = "cold" | "warm";

/** A guest that has its identity and is listed, and the warm slot it gets, if there is one. */
export interface Reservation {
  guest: Guest;
  slot: WarmSlot | undefined;
}

export class Creation {
  readonly #parts: Parts;
  readonly #baseLimits: KernelLimits;
  #generation = Math.floor(Math.random() * 2 ** 31);

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#baseLimits = toKernelLimits(baseLimits(parts.options.baseLimit), parts.options);
  }

  /** Reserves everything for a new guest; throws and changes nothing when something is taken. */
  reserve(request: ResolvedRequest): Reservation {
    const { registry, guarantees, options, pool, identities } = this.#parts;
    registry.check(request.instanceId, request.instanceName);
    const guaranteed = guaranteedUpload(request.limits, options.baseLimit);
    guarantees.change(0, guaranteed);
    let slot: WarmSlot | undefined;
    let address: AddressClaim | undefined;
    let port: PortClaim;
    try {
      slot = request.tapName === undefined ? pool.take(request) : undefined;
      address = slot?.address ?? identities.claimAddress(request);
      port = slot?.port ?? identities.claimPort(address.ip, request.tapName);
    } catch (error) {
      guarantees.change(guaranteed, 0);
      if (address && !slot) identities.releaseAddress(address);
      throw error;
    }
    const guest = new Guest(
      {
        instanceId: request.instanceId,
        instanceName: request.instanceName,
        ...address,
        classMinor: port.class.minor,
        limits: request.limits,
        createdMs: Date.now(),
        generation: this.#nextGeneration(),
        blocked: false,
      },
      this.#parts.allocationFacts,
    );
    guest.port = port;
    guest.guaranteed = guaranteed;
    registry.add(guest);
    return { guest, slot };
  }

  /** Takes the wishes of a restore into a standby guest: new limits, a port. Throws and changes nothing. */
  reserveAgain(guest: Guest, limits: Limits, tapName: string | undefined): void {
    const { guarantees, options, identities } = this.#parts;
    const guaranteed = guaranteedUpload(limits, options.baseLimit);
    guarantees.change(0, guaranteed);
    try {
      guest.port = identities.claimPort(guest.ip, tapName);
    } catch (error) {
      guarantees.change(guaranteed, 0);
      throw error;
    }
    guest.guaranteed = guaranteed;
    const generation = this.#nextGeneration();
    guest.lease = { ...guest.lease, limits, classMinor: guest.port.class.minor, generation, blocked: false };
    guest.state = "pending";
    guest.shaped = new Deferred();
  }

  /**
   * Arms the slot for the guest; its limits follow in the shape lane. Synchronous unless the lease
   * is refused: then the slot is deleted before the promise rejects.
   */
  claimWarm(guest: Guest, slot: WarmSlot, span: Span): Promise<never> | undefined {
    guest.ifindex = slot.ifindex;
    guest.applied = this.#baseLimits;
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
   * Makes a slot with the final limits and arms it: shaped at once. Rejects with ABORTED when
   * `guest.abandon` was called meanwhile; then, as after any failure, no kernel object is left.
   */
  async makeCold(guest: Guest, span: Span): Promise<void> {
    const { lanes, options, identities } = this.#parts;
    const port = guest.port as PortClaim;
    const limits = toKernelLimits(guest.lease.limits, options);
    const ticket = lanes.create.submit({
      tapName: port.tapName,
      ip: guest.lease.ip,
      mac: guest.lease.mac,
      class: port.class,
      limits,
      alias: formatAlias(guest.lease),
    });
    let abandoned: Error | undefined;
    const done = await new Promise<Awaited<typeof ticket.done>>((resolve, reject) => {
      guest.abandon = (reason) => {
        abandoned ??= reason;
        if (ticket.cancel()) reject(abandoned);
      };
      ticket.done.then(resolve, reject);
    });
    identities.classCreated(port.class);
    guest.ifindex = done.value;
    addChild(span, "forknet.slot.wait", done.time.queuedMs, done.time.startedMs);
    addChild(span, "forknet.slot.create", done.time.startedMs, done.time.endedMs);
    if (abandoned) return this.#giveUp(guest, abandoned);
    try {
      this.#arm(guest, span);
    } catch (error) {
      return this.#giveUp(guest, error as Error);
    }
    guest.applied = limits;
    guest.shaping = "shaped";
    guest.shaped.resolve();
  }

  /** Deletes the TAP of a guest that will not have it, and rejects with `error`; with ROLLBACK when the TAP stays. */
  async #giveUp(guest: Guest, error: Error): Promise<never> {
    const { tap: tapName, ifindex } = guest.view;
    guest.ifindex = 0;
    try {
      await this.#parts.reaper.reap({ tapName, ifindex, ip: guest.ip, mac: guest.lease.mac }, "failed_create");
    } catch (refused) {
      const text = `${error.message}; deleting ${tapName} failed too: ${(refused as Error).message}`;
      throw new ForknetError("ERR_FORKNET_ROLLBACK", text, { leftBehind: [`TAP ${tapName}`], cause: error });
    }
    throw error;
  }

  /** Gives back what reserve took. After a failed undo the identity stays taken: its TAP may still be there. */
  forget(guest: Guest, error: unknown): void {
    const { registry, guarantees, identities } = this.#parts;
    registry.remove(guest);
    guarantees.change(guest.guaranteed, 0);
    if ((error as ForknetError).code === "ERR_FORKNET_ROLLBACK") return;
    if (guest.port) identities.releasePort(guest.port);
    identities.releaseAddress(guest.lease);
  }

  /** Takes a restore back: the guest is in standby as before. */
  forgetAgain(guest: Guest, former: Limits, error: unknown): void {
    const { guarantees, identities } = this.#parts;
    guarantees.change(guest.guaranteed, 0);
    guest.guaranteed = 0;
    if (guest.port && (error as ForknetError).code !== "ERR_FORKNET_ROLLBACK") identities.releasePort(guest.port);
    guest.port = undefined;
    guest.lease = { ...guest.lease, limits: former, classMinor: 0 };
    guest.state = "standby";
    guest.shaping = "none";
  }

  #arm(guest: Guest, span: Span): void {
    const startedMs = monotonicMs();
    this.#parts.leases.arm(guest.ifindex, guest.lease);
    addChild(span, "forknet.arm", startedMs, monotonicMs());
    guest.state = "active";
  }

  #nextGeneration(): number {
    this.#generation = (this.#generation + 1) >>> 0;
    return this.#generation;
  }
}

/** ERR_FORKNET_ABORTED with the caller's reason as its cause. */
export function aborted(text: string, cause?: unknown): ForknetError {
  return new ForknetError("ERR_FORKNET_ABORTED", text, { cause });
}
