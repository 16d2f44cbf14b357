// How a guest leaves its TAP: releaseAllocation and standbyAllocation. Disarming comes first and
// takes effect within microseconds; the identity is free again only when the kernel objects are
// gone.

import type { Span } from "@opentelemetry/api";
import { Deferred } from "../deferred.js";
import { ForknetError } from "../errors.js";
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

  /** Ends a guest in whatever state it is. Everybody who asks meanwhile gets the same promise. */
  release(guest: Guest, span: Span): Promise<void> {
    const removal = this.#release(guest, span).catch((error: unknown) => {
      // The kernel refused to delete the TAP: it is disarmed, still accounted for, and may be
      // released again.
      guest.releasing = undefined;
      throw error;
    });
    guest.releasing = removal;
    return removal;
  }

  async #release(guest: Guest, span: Span): Promise<void> {
    const { leases, shaping, registry, guarantees, identities, flows } = this.#parts;
    const reason = aborted(`instance ${guest.id} was released`);
    guest.state = "releasing";
    if (guest.ifindex !== 0) leases.disarm(guest.ifindex);
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
    await flows.forget(guest.ip);
    identities.releaseAddress(guest.lease);
    registry.remove(guest);
  }

  /**
   * Keeps the identity durably and deletes the TAP. When the kernel refuses, the guest is armed
   * again and the record removed: active as before.
   */
  async standby(guest: Guest, span: Span): Promise<void> {
    const { leases, shaping, standby, guarantees } = this.#parts;
    await standby.put(guest.lease);
    if (guest.releasing) throw aborted(`instance ${guest.id} was released`);
    const reason = aborted(`instance ${guest.id} went to standby`);
    leases.disarm(guest.ifindex);
    guest.state = "releasing";
    shaping.cancel(guest, reason);
    try {
      await this.#takeTap(guest, "standby", span);
    } catch (error) {
      // A release that came meanwhile goes on from here, and counts on finding the guest disarmed.
      if (!guest.releasing) this.#bringBack(guest);
      await this.forgetRecord(guest);
      throw error;
    }
    guest.shaped.reject(reason);
    guarantees.change(guest.guaranteed, 0, guest.lease.group);
    guest.guaranteed = 0;
    guest.shaping = "none";
    guest.lease = { ...guest.lease, classMinor: 0 };
    if (!guest.releasing) guest.state = "standby";
  }

  /** Removes the record of a guest that is live: should it stay, it counts for nothing. */
  async forgetRecord({ id: instanceId }: Guest): Promise<void> {
    const { standby, facts } = this.#parts;
    try {
      await standby.remove(instanceId);
    } catch (error) {
      const failure = { instanceId, error: error as ForknetError };
      publish("forknet:store-failed", { bridge: facts.bridge.name, ...failure });
    }
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
    if (guest.moving) identities.releaseClass(guest.moving);
    guest.port = undefined;
    guest.moving = undefined;
    guest.ifindex = 0;
    guest.applied = undefined;
    await groups.leave(guest.lease.group);
  }

  /** The kernel kept the TAP: armed again, and shaped if it was about to be. */
  #bringBack(guest: Guest): void {
    guest.state = "active";
    this.#parts.leases.arm(guest.ifindex, guest.lease);
    if (guest.shaping !== "pending") return;
    guest.shaped = new Deferred();
    this.#parts.shaping.start(guest);
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
