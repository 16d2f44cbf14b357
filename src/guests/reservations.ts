// What a guest holds before it has a TAP: its names, address, class and its part of the capacity.
// Reserving is synchronous and all or nothing, and the guest is listed at once.

import { Deferred } from "../deferred.js";
import { isRollback } from "../errors.js";
import type { AddressClaim, PortClaim } from "../identity/claims.js";
import type { ClassClaim } from "../identity/class-pool.js";
import { remainsOf } from "../identity/stranded.js";
import { canBecome, ownerOf, type TapOwner } from "../identity/tap-owner.js";
import { bootMs } from "../kernel/boot.js";
import type { Lease } from "../lease/lease.js";
import { guaranteedUpload, type Limits } from "../limits.js";
import type { Parts } from "../parts.js";
import type { ResolvedRequest } from "../request.js";
import { Guest } from "./guest.js";
import type { WarmSlot } from "./slot-pool.js";

/**
 * A warm slot whose TAP a guest gets under another identity. `surplus` is what of its own the guest
 * does not take.
 */
export interface Donor {
  slot: WarmSlot;
  surplus: { address?: AddressClaim; tapName?: string; class?: ClassClaim };
}

/**
 * A guest that has its identity and is listed, and the warm slot it gets as it is or as a donor.
 */
export interface Reservation {
  guest: Guest;
  slot?: WarmSlot | undefined;
  donor?: Donor | undefined;
}

/** What a restore replaces of the lease, and the name of the TAP. */
export interface RestoreWishes {
  limits: Limits;
  owner?: TapOwner;
  tapName?: string;
}

interface Claim {
  address: AddressClaim;
  port: PortClaim;
  donor?: Donor;
  /** Beside the class of a warm slot's port. */
  moving?: ClassClaim;
}

export class Reservations {
  readonly #parts: Parts;
  #generation = Math.floor(Math.random() * 2 ** 31);

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Reserves everything for a new guest; throws and changes nothing when something is taken. */
  reserve(request: ResolvedRequest): Reservation {
    const { registry, pool } = this.#parts;
    registry.check(request.instanceId, request.instanceName);
    const { group, owner } = request;
    const place = this.#enter(request.limits, group);
    const isAnySlot = request.tapName === undefined && owner === undefined;
    const slot = isAnySlot ? pool.take(request) : undefined;
    let claim: Claim;
    try {
      claim = slot ? this.#claimWarm(slot, place.parent) : this.#claim(request, place.parent);
    } catch (error) {
      void this.#leave(place.guaranteed, group);
      throw error;
    }
    const { address, port, donor, moving } = claim;
    const guest = new Guest(
      {
        instanceId: request.instanceId,
        instanceName: request.instanceName,
        ...address,
        classMinor: port.class.minor,
        limits: request.limits,
        ...(group === undefined ? {} : { group }),
        ...(request.guest === undefined ? {} : { guest: request.guest }),
        ...(owner === undefined ? {} : { owner }),
        createdMs: Date.now(),
        createdBootMs: bootMs(),
        generation: this.#nextGeneration(),
        blocked: false,
      },
      this.#parts.allocationFacts,
    );
    guest.port = port;
    guest.tapOwner = this.#ownerOf(guest.lease);
    guest.moving = moving;
    guest.guaranteed = place.guaranteed;
    registry.add(guest);
    return { guest, slot, donor };
  }

  /**
   * Takes the wishes of a restore into a standby guest: new limits, a port, an owner. Throws and
   * changes nothing.
   */
  reserveAgain(guest: Guest, { limits, tapName, ...wishes }: RestoreWishes): Donor | undefined {
    const kept = { ...guest.lease, ...wishes };
    const { group } = kept;
    const place = this.#enter(limits, group);
    let claim: Claim;
    try {
      claim = this.#claimPort(kept, { tapName, owner: kept.owner }, place.parent);
    } catch (error) {
      void this.#leave(place.guaranteed, group);
      throw error;
    }
    guest.port = claim.port;
    guest.guaranteed = place.guaranteed;
    const generation = this.#nextGeneration();
    guest.lease = {
      ...kept,
      limits,
      classMinor: claim.port.class.minor,
      generation,
      blocked: false,
    };
    guest.tapOwner = this.#ownerOf(guest.lease);
    guest.state = "pending";
    guest.shaped = new Deferred();
    return claim.donor;
  }

  /**
   * For a wish that no warm slot fits as it is: the identity is claimed, the TAP comes from a donor
   * if there is one.
   */
  #claim(wish: ResolvedRequest, parent: number | undefined): Claim {
    const { identities } = this.#parts;
    if (wish.ip === undefined && wish.mac === undefined) {
      // Only the TAP's name or its owner is wished: the donor keeps its address.
      const slot = this.#takeDonor(wish.owner);
      if (slot) return this.#takeOver(slot, slot.address, wish.tapName, parent);
    }
    const address = identities.claimAddress(wish);
    try {
      return this.#claimPort(address, wish, parent);
    } catch (error) {
      identities.releaseUnused(address);
      throw error;
    }
  }

  #claimPort(
    address: AddressClaim,
    { tapName, owner }: { tapName?: string | undefined; owner?: TapOwner | undefined },
    parent: number | undefined,
  ): Claim {
    const slot = this.#takeDonor(owner);
    if (slot) return this.#takeOver(slot, address, tapName, parent);
    return { address, port: this.#parts.identities.claimPort(address.ip, tapName, parent) };
  }

  /**
   * Any warm slot. To an owner only one goes that nobody but the agent could open until now, and that
   * can be given away.
   */
  #takeDonor(owner: TapOwner | undefined): WarmSlot | undefined {
    const { options, pool } = this.#parts;
    const own = ownerOf(options.tap);
    const isForOwner = owner && own.uid === process.geteuid?.() && canBecome(own, owner);
    return owner && !isForOwner ? undefined : pool.take({});
  }

  #ownerOf({ owner }: Lease): TapOwner {
    return owner ?? ownerOf(this.#parts.options.tap);
  }

  /** As it is; a guest of a group gets its class from the job that shapes it. */
  #claimWarm(slot: WarmSlot, parent: number | undefined): Claim {
    const { address, port } = slot;
    if (parent === undefined) return { address, port };
    const { identities, pool } = this.#parts;
    try {
      return { address, port, moving: identities.claimClass(parent) };
    } catch (error) {
      pool.putBack(slot);
      throw error;
    }
  }

  /**
   * The guest gets the slot's class unless it has to be under another parent, and its name unless
   * another is wished; the rest is surplus.
   */
  #takeOver(
    slot: WarmSlot,
    address: AddressClaim,
    wishedName: string | undefined,
    parent: number | undefined,
  ): Claim {
    const { identities, pool } = this.#parts;
    let tapName = slot.port.tapName;
    let own: ClassClaim | undefined;
    try {
      if (parent !== undefined) own = identities.claimClass(parent);
      if (wishedName !== undefined && wishedName !== tapName)
        tapName = identities.claimName(wishedName);
    } catch (error) {
      if (own) identities.releaseClass(own);
      pool.putBack(slot);
      throw error;
    }
    const surplus = {
      ...(own ? { class: slot.port.class } : {}),
      ...(address === slot.address ? {} : { address: slot.address }),
      ...(tapName === slot.port.tapName ? {} : { tapName: slot.port.tapName }),
    };
    return {
      address,
      port: { tapName, class: own ?? { ...slot.port.class, exists: true } },
      donor: { slot, surplus },
    };
  }

  /**
   * Gives back what reserve took. After a failed undo the identity stays taken: its TAP may still
   * be there.
   */
  async forget(guest: Guest, error: unknown): Promise<void> {
    const { registry, identities } = this.#parts;
    const { lease } = guest;
    registry.remove(guest);
    await this.#giveBack(guest, error, () => identities.releaseAddress(lease));
  }

  /** Takes a restore back: the guest is in standby as before. */
  async forgetAgain(guest: Guest, former: Lease, error: unknown): Promise<void> {
    const gone = this.#giveBack(guest, error);
    guest.lease = former;
    guest.state = "standby";
    guest.shaping = "none";
    await gone;
  }

  /** Counts a guest in, with its guarantee and in its group. Throws and changes nothing. */
  #enter(limits: Limits, group: string | undefined) {
    const { guarantees, groups, options } = this.#parts;
    const guaranteed = guaranteedUpload(limits, options.baseLimit);
    guarantees.change(0, guaranteed, group);
    try {
      return { guaranteed, parent: groups.enter(group) };
    } catch (error) {
      guarantees.change(guaranteed, 0, group);
      throw error;
    }
  }

  #leave(guaranteed: number, group: string | undefined): Promise<void> {
    this.#parts.guarantees.change(guaranteed, 0, group);
    return this.#parts.groups.leave(group);
  }

  /** Resolves when a group that ends with this guest has left nothing in the kernel. */
  async #giveBack(guest: Guest, error: unknown, giveAddressBack = async () => {}): Promise<void> {
    const { identities, guarantees, groups } = this.#parts;
    const { port, moving, lease } = guest;
    guarantees.change(guest.guaranteed, 0, lease.group);
    guest.guaranteed = 0;
    guest.port = undefined;
    guest.moving = undefined;
    const giveBack = async () => {
      if (port) identities.releasePort(port);
      if (moving) identities.releaseClass(moving);
      await Promise.all([giveAddressBack(), groups.leave(lease.group)]);
    };
    if (isRollback(error) && port) identities.stranded.add(remainsOf(lease, port), giveBack);
    else await giveBack();
  }

  #nextGeneration(): number {
    this.#generation = (this.#generation + 1) >>> 0;
    return this.#generation;
  }
}
