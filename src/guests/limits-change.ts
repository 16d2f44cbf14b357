// updateLimits: new limits for a guest, live or in standby. They are in the lease before the kernel
// is asked, so a crash in between leaves a lease that the next open brings into force.

import { isDeepStrictEqual } from "node:util";
import type { Span } from "@opentelemetry/api";
import { type ForknetError, rollbackError } from "../errors.js";
import { guaranteedUpload, type Limits, sameLimits, toKernelLimits } from "../limits.js";
import type { Parts } from "../parts.js";
import type { Guest } from "./guest.js";

export class LimitsChange {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Resolves when the limits hold. On failure the former ones do, in the kernel, the lease and the
   * sum of guarantees.
   */
  async apply(guest: Guest, wished: Limits, span: Span): Promise<void> {
    const { limits: former } = guest.lease;
    const isInForce = sameLimits(wished, former);
    if (guest.state === "standby") return isInForce ? undefined : this.#store(guest, wished);
    // `shaped` tells of the first shaping only: after that the state counts, not a promise that may
    // have rejected.
    if (isInForce && guest.shaping === "shaped") return;
    if (isInForce && guest.shaping === "pending") return guest.shaped.promise;
    this.#account(guest, wished);
    try {
      this.#write(guest, wished);
    } catch (error) {
      this.#account(guest, former);
      throw error;
    }
    guest.cause = span.spanContext();
    guest.shaping = "pending";
    try {
      await this.#parts.shaping.schedule(guest, former);
    } catch (error) {
      if (guest.state !== "active") throw error;
      throw this.#takeBack(guest, former, error as ForknetError);
    }
  }

  /** Returns the error to throw: `error`, or ROLLBACK when the lease keeps the limits it was given. */
  #takeBack(guest: Guest, former: Limits, error: ForknetError): ForknetError {
    try {
      this.#write(guest, former);
    } catch {
      guest.shaping = "failed";
      return rollbackError(error, `new limits in the lease of ${guest.view.tap}`);
    }
    this.#account(guest, former);
    // Not what it was before: a job that this one overtook never ran, one that it waited behind
    // has ended.
    const isInPlace = isDeepStrictEqual(guest.applied, toKernelLimits(former, this.#parts.options));
    guest.shaping = isInPlace && !guest.moving ? "shaped" : "failed";
    return error;
  }

  async #store(guest: Guest, wished: Limits): Promise<void> {
    const lease = { ...guest.lease, limits: wished };
    await this.#parts.standby.put(lease);
    guest.lease = lease;
  }

  #write(guest: Guest, limits: Limits): void {
    const lease = { ...guest.lease, limits };
    this.#parts.leases.arm(guest.ifindex, lease);
    guest.lease = lease;
  }

  #account(guest: Guest, limits: Limits): void {
    const wanted = guaranteedUpload(limits, this.#parts.options.baseLimit);
    this.#parts.guarantees.change(guest.guaranteed, wanted, guest.lease.group);
    guest.guaranteed = wanted;
  }
}
