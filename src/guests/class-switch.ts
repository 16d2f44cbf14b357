// How a guest comes to a class under another parent, since no change moves a class: a warm slot's
// stands under the capacity class, a group's guest belongs under the group's. The new class is made
// with the guest's limits while the guest is held to the base limits of the old one; one map update
// then sends its packets through the new.

import type { ForknetError } from "../errors.js";
import type { Groups } from "../groups/groups.js";
import type { PortClaim } from "../identity/claims.js";
import type { Identities } from "../identity/identities.js";
import { formatAlias } from "../lease/alias.js";
import type { LeaseTable } from "../lease/lease-table.js";
import type { ShapeJob } from "../plans/shape.js";
import type { Guest } from "./guest.js";

export class ClassSwitch {
  readonly #leases: LeaseTable;
  readonly #identities: Identities;
  readonly #groups: Groups;

  constructor(leases: LeaseTable, identities: Identities, groups: Groups) {
    this.#leases = leases;
    this.#identities = identities;
    this.#groups = groups;
  }

  /** The class that a job is to shape, and what the alias says of it. */
  target({ lease, port, moving }: Guest): Pick<ShapeJob, "class" | "isMove" | "group" | "alias"> {
    if (!moving) return { class: (port as PortClaim).class, alias: formatAlias(lease) };
    const group = this.#groups.missing(lease.group);
    const alias = formatAlias({ ...lease, classMinor: moving.minor });
    return { class: moving, isMove: true, alias, ...(group ? { group } : {}) };
  }

  /** The job for `target` was done. */
  made(guest: Guest): void {
    const { moving, lease } = guest;
    if (!moving) return;
    this.#identities.classCreated(moving);
    guest.moving = { ...moving, exists: true };
    if (lease.group !== undefined) this.#groups.made(lease.group);
  }

  /**
   * The limits are in place: a guest that waited for them (`unshaped: "block"`) passes frames, and
   * one that was made another class goes through that. Returns why it does not.
   */
  letPass(guest: Guest): ForknetError | undefined {
    const { moving, port } = guest;
    if (!guest.lease.blocked && !moving) return undefined;
    const lease = { ...guest.lease, blocked: false };
    if (moving) lease.classMinor = moving.minor;
    try {
      this.#leases.arm(guest.ifindex, lease);
    } catch (error) {
      return error as ForknetError;
    }
    guest.lease = lease;
    if (!moving || !port) return undefined;
    guest.port = { ...port, class: moving };
    guest.moving = undefined;
    // What waits in its queue is sent while it is on the free list.
    this.#identities.releaseClass(port.class);
    return undefined;
  }
}
