// How a guest leaves its TAP: releaseAllocation and standbyAllocation. Disarming comes first and
// takes effect within microseconds; the identity is free again only when the kernel objects are
// gone.

import type { Span } from "@opentelemetry/api";
import { Deferred } from "../deferred.js";
import { ForknetError, isRollback, rollbackError } from "../errors.js";
import { publish } from "../events/events.js";
import { formatClass } from "../identity/class-pool.js";
import type { Parts } from "../parts.js";
import { aborted } from "./creation.js";
import type { Guest } from "./guest.js";

export class Removal {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Ends a guest in whatever state it is. Everybody who asks meanwhile gets the same promise. When
   * the kernel refuses to disarm the guest, it is active as before; when it refuses to delete the
   * TAP, the guest stays "releasing": disarmed, accounted for, and it may be released again.
   */
  release(guest: Guest, span: Span): Promise<void> {
    const removal = this.#release(guest, span).catch((error: unknown) => {
      guest.releasing = undefined;
      throw error;
    });
    guest.releasing = removal;
    return removal;
  }

  async #release(guest: Guest, span: Span): Promise<void> {
    const { leases, shaping, registry, guarantees, identities } = this.#parts;
    const reason = aborted(`instance ${guest.id} was released`);
    // First: a guest that cannot be disarmed is what it was.
    if (guest.ifindex !== 0) leases.disarm(guest.ifindex);
    guest.state = "releasing";
    guest.isCutOff = false;
    shaping.cancel(guest, reason);
    guest.shaped.reject(reason);
    guest.abandon?.(reason);
    // A creation that was abandoned cleans up after itself; a standby or an update under way ends
    // first.
    await Promise.allSettled([guest.creation, guest.turn]);
    if (registry.get(guest.id) !== guest) return;
    guest.state = "releasing";
    await this.#takeTap(guest, "release", span);
    guarantees.change(guest.guaranteed, 0, guest.lease.group);
    guest.guaranteed = 0;
    await this.#endRecord(guest);
    await identities.releaseAddress(guest.lease);
    registry.remove(guest);
  }

  /**
   * Keeps the identity durably and deletes the TAP. When the kernel refuses, the guest is armed
   * again and the record removed: active as before. When that is refused, too, the record stays and
   * the guest is cut off, "releasing": reconcile makes it active again, another standby goes on.
   */
  async standby(guest: Guest, span: Span): Promise<void> {
    const { standby, guarantees } = this.#parts;
    await standby.put(guest.lease);
    if (guest.releasing) throw aborted(`instance ${guest.id} was released`);
    const reason = aborted(`instance ${guest.id} went to standby`);
    await this.#cutOff(guest, reason);
    try {
      await this.#takeTap(guest, "standby", span);
    } catch (error) {
      throw await this.#standbyFailed(guest, error as ForknetError, reason);
    }
    guest.shaped.reject(reason);
    guarantees.change(guest.guaranteed, 0, guest.lease.group);
    guest.guaranteed = 0;
    guest.shaping = "none";
    guest.lease = { ...guest.lease, classMinor: 0 };
    if (!guest.releasing) guest.state = "standby";
  }

  async #cutOff(guest: Guest, reason: ForknetError): Promise<void> {
    const { leases, shaping } = this.#parts;
    try {
      leases.disarm(guest.ifindex);
    } catch (error) {
      await forgetRecord(this.#parts, guest);
      throw error;
    }
    guest.state = "releasing";
    guest.isCutOff = false;
    shaping.cancel(guest, reason);
  }

  /** Resolves with the error to throw: `error`, or ROLLBACK when the guest is not active again. */
  async #standbyFailed(
    guest: Guest,
    error: ForknetError,
    reason: ForknetError,
  ): Promise<ForknetError> {
    // A release that came meanwhile goes on from here, and counts on finding the guest disarmed.
    if (guest.releasing) return error;
    try {
      // Its TAP may be gone, or about to go with others: the guest must not pass for active.
      if (isRollback(error) || error.errno === undefined) throw error;
      bringBack(this.#parts, guest);
    } catch {
      guest.isCutOff = true;
      guest.shaped.reject(reason);
      if (guest.shaping === "pending") guest.shaping = "failed";
      return rollbackError(error, `${guest.view.tap} without its lease`);
    }
    if (guest.shaping === "pending") {
      guest.shaped = new Deferred();
      this.#parts.shaping.start(guest);
    }
    await forgetRecord(this.#parts, guest);
    return error;
  }

  /** A guest that has only its record left is in standby again when that cannot be removed. */
  async #endRecord(guest: Guest): Promise<void> {
    const { standby } = this.#parts;
    if (!standby.has(guest.id)) return;
    try {
      await standby.remove(guest.id);
    } catch (error) {
      guest.lease = { ...guest.lease, classMinor: 0 };
      guest.shaping = "none";
      guest.state = "standby";
      throw error;
    }
  }

  /** Deletes the TAP, if there is one, and gives its name and class back. */
  async #takeTap(guest: Guest, reason: "release" | "standby", span: Span): Promise<void> {
    const { shaping, reaper, identities, groups } = this.#parts;
    const { port, ifindex } = guest;
    if (!port || ifindex === 0) return;
    const classId = formatClass(port.class.minor);
    span.setAttributes({ "forknet.tap": port.tapName, "forknet.class_id": classId });
    await shaping.settled(guest);
    await reaper.reap(
      { tapName: port.tapName, ifindex, ip: guest.ip, mac: guest.lease.mac },
      reason,
      span,
    );
    // Not the port from before: the job that just settled may have given it another class.
    identities.releasePort(guest.port ?? port);
    const { moving } = guest;
    guest.port = undefined;
    guest.moving = undefined;
    guest.ifindex = 0;
    guest.applied = undefined;
    if (moving?.wasSent) await groups.remove([moving.minor]);
    else if (moving) identities.releaseClass(moving);
    await groups.leave(guest.lease.group);
  }
}

/**
 * A guest whose standby failed is active again. Armed first: who is called active passes frames.
 * Throws, with nothing changed, what the lease map says.
 */
export function bringBack({ leases }: Pick<Parts, "leases">, guest: Guest): void {
  leases.arm(guest.ifindex, guest.lease);
  guest.isCutOff = false;
  guest.state = "active";
}

/** Removes the record of a guest that is live: should it stay, it counts for nothing. */
export async function forgetRecord(parts: Parts, { id: instanceId }: Guest): Promise<void> {
  const { standby, facts } = parts;
  try {
    await standby.remove(instanceId);
  } catch (error) {
    const failure = { instanceId, error: error as ForknetError };
    publish("forknet:store-failed", { bridge: facts.bridge.name, ...failure });
  }
}

/** Runs one operation of a guest after those that were asked for before it. */
export function inTurn<T>(guest: Guest, run: () => Promise<T>): Promise<T> {
  const result = guest.turn.then(run);
  guest.turn = result.catch(() => {});
  return result;
}

/** Throws unless the guest is there to stay and in the wished state. */
export function mustBe(guest: Guest, state: "active" | "standby"): void {
  if (guest.releasing)
    throw new ForknetError("ERR_FORKNET_NOT_FOUND", `instance ${guest.id} is being released`);
  if (guest.state === state) return;
  const code = state === "standby" ? "ERR_FORKNET_ID_EXISTS" : "ERR_FORKNET_NOT_FOUND";
  throw new ForknetError(code, `instance ${guest.id} is ${guest.state}, not ${state}`);
}
