// What a guest holds before it has a TAP: its names, address, class and its part of the capacity.
// Reserving is synchronous and all or nothing, and the guest is listed at once.

import { Deferred } from "./deferred.js";
import { isRollback } from "./errors.js";
import { Guest } from "./guest.js";
import type { AddressClaim, PortClaim } from "./identity/identities.js";
import { remainsOf } from "./identity/stranded.js";
import { guaranteedUpload, type Limits } from "./limits.js";
import type { Parts } from "./parts.js";
import type { ResolvedRequest } from "./request.js";
import type { WarmSlot } from "./slot-pool.js";

/**
 * A warm slot whose TAP a guest gets under another identity. `surplus` is what of its own the guest
 * does not take.
 */
export interface Donor {
  slot: WarmSlot;
  surplus: { address?: AddressClaim; tapName?: string };
}

/**
 * A guest that has its identity and is listed, and the warm slot it gets as it is or as a donor.
 */
export interface Reservation {
  guest: Guest;
  slot?: WarmSlot | undefined;
  donor?: Donor | undefined;
}

interface Claim {
  address: AddressClaim;
  port: PortClaim;
  donor?: Donor;
}

export class Reservations {
  readonly #parts: Parts;
  #generation = Math.floor(Math.random() * 2 ** 31);

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Reserves everything for a new guest; throws and changes nothing when something is taken. */
  reserve(request: ResolvedRequest): Reservation {
    const { registry, guarantees, options, pool } = this.#parts;
    registry.check(request.instanceId, request.instanceName);
    const guaranteed = guaranteedUpload(request.limits, options.baseLimit);
    guarantees.change(0, guaranteed);
    const slot = request.tapName === undefined ? pool.take(request) : undefined;
    let claim: Claim;
    try {
      claim = slot ? { address: slot.address, port: slot.port } : this.#claim(request);
    } catch (error) {
      guarantees.change(guaranteed, 0);
      throw error;
    }
    const { address, port, donor } = claim;
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
    return { guest, slot, donor };
  }

  /**
   * Takes the wishes of a restore into a standby guest: new limits, a port. Throws and changes
   * nothing.
   */
  reserveAgain(guest: Guest, limits: Limits, tapName: string | undefined): Donor | undefined {
    const { guarantees, options } = this.#parts;
    const guaranteed = guaranteedUpload(limits, options.baseLimit);
    guarantees.change(0, guaranteed);
    let claim: Claim;
    try {
      claim = this.#claimPort(guest.lease, tapName);
    } catch (error) {
      guarantees.change(guaranteed, 0);
      throw error;
    }
    guest.port = claim.port;
    guest.guaranteed = guaranteed;
    const generation = this.#nextGeneration();
    guest.lease = {
      ...guest.lease,
      limits,
      classMinor: claim.port.class.minor,
      generation,
      blocked: false,
    };
    guest.state = "pending";
    guest.shaped = new Deferred();
    return claim.donor;
  }

  /**
   * For a wish that no warm slot fits as it is: the identity is claimed, the TAP comes from a donor
   * if there is one.
   */
  #claim(wish: ResolvedRequest): Claim {
    const { identities, pool } = this.#parts;
    if (wish.ip === undefined && wish.mac === undefined) {
      // Only the TAP's name is wished: the donor keeps its address.
      const slot = pool.take({});
      if (slot) return this.#takeOver(slot, slot.address, wish.tapName);
    }
    const address = identities.claimAddress(wish);
    try {
      return this.#claimPort(address, wish.tapName);
    } catch (error) {
      identities.releaseAddress(address);
      throw error;
    }
  }

  #claimPort(address: AddressClaim, tapName: string | undefined): Claim {
    const slot = this.#parts.pool.take({});
    if (slot) return this.#takeOver(slot, address, tapName);
    return { address, port: this.#parts.identities.claimPort(address.ip, tapName) };
  }

  /**
   * The guest gets the slot's class, and its name unless another is wished; the rest is surplus.
   */
  #takeOver(slot: WarmSlot, address: AddressClaim, wishedName: string | undefined): Claim {
    const { identities, pool } = this.#parts;
    let tapName = slot.port.tapName;
    try {
      if (wishedName !== undefined && wishedName !== tapName)
        tapName = identities.claimName(wishedName);
    } catch (error) {
      pool.putBack(slot);
      throw error;
    }
    const surplus = {
      ...(address === slot.address ? {} : { address: slot.address }),
      ...(tapName === slot.port.tapName ? {} : { tapName: slot.port.tapName }),
    };
    return {
      address,
      port: { tapName, class: { ...slot.port.class, exists: true } },
      donor: { slot, surplus },
    };
  }

  /**
   * Gives back what reserve took. After a failed undo the identity stays taken: its TAP may still
   * be there.
   */
  forget(guest: Guest, error: unknown): void {
    const { registry, guarantees, identities } = this.#parts;
    registry.remove(guest);
    guarantees.change(guest.guaranteed, 0);
    const { port, lease } = guest;
    const giveBack = () => {
      if (port) identities.releasePort(port);
      identities.releaseAddress(lease);
    };
    if (isRollback(error) && port) identities.stranded.add(remainsOf(lease, port), giveBack);
    else giveBack();
  }

  /** Takes a restore back: the guest is in standby as before. */
  forgetAgain(guest: Guest, former: Limits, error: unknown): void {
    const { guarantees, identities } = this.#parts;
    guarantees.change(guest.guaranteed, 0);
    guest.guaranteed = 0;
    const { port, lease } = guest;
    const giveBack = () => port && identities.releasePort(port);
    if (isRollback(error) && port) identities.stranded.add(remainsOf(lease, port), giveBack);
    else giveBack();
    guest.port = undefined;
    guest.lease = { ...guest.lease, limits: former, classMinor: 0 };
    guest.state = "standby";
    guest.shaping = "none";
  }

  #nextGeneration(): number {
    this.#generation = (this.#generation + 1) >>> 0;
    return this.#generation;
  }
}
