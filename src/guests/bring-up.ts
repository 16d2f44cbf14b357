// From a wish to a guest with its TAP: reserve, then claim a warm slot at once or wait for a cold
// one. Whatever fails, the reservation is given back.

import type { Span } from "@opentelemetry/api";
import type { Parts } from "../parts.js";
import type { ResolvedRequest } from "../request.js";
import { reserved, type SetSlot } from "../telemetry/operation.js";
import { aborted, Creation } from "./creation.js";
import type { Allocation, Guest } from "./guest.js";
import { type Donor, type Reservation, Reservations, type RestoreWishes } from "./reservations.js";

/** What a call brings along. */
export interface Call {
  span: Span;
  setSlot: SetSlot;
  signal: AbortSignal | undefined;
}

/** Takes a reservation back. */
type Undo = (error: unknown) => Promise<void>;

export class BringUp {
  readonly #parts: Parts;
  readonly #reservations: Reservations;
  readonly #creation: Creation;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#reservations = new Reservations(parts);
    this.#creation = new Creation(parts);
  }

  /** A new guest. It is reserved before this returns, unless a warm slot is in the wish's way. */
  create(wish: ResolvedRequest, call: Call): Allocation | Promise<Allocation> {
    let reservation: Reservation;
    try {
      reservation = this.#reserve(wish, call);
    } catch (error) {
      return this.#createLater(wish, call, error);
    }
    return this.#start(reservation, call);
  }

  /** A standby guest; it gets its former lease and no port again when that fails. */
  async again(guest: Guest, wishes: RestoreWishes, call: Call): Promise<void> {
    const former = guest.lease;
    const donor = reserved(call.span, () => this.#reservations.reserveAgain(guest, wishes));
    this.#describe(guest, call.span);
    const undo: Undo = (error) => this.#reservations.forgetAgain(guest, former, error);
    await this.#makeCold(guest, donor, call, undo);
  }

  #reserve(wish: ResolvedRequest, { span }: Call): Reservation {
    return reserved(span, () => this.#reservations.reserve(wish));
  }

  /** Tries again as long as there are warm slots to give back that are in the wish's way. */
  async #createLater(wish: ResolvedRequest, call: Call, refusal: unknown): Promise<Allocation> {
    for (let error = refusal; ; ) {
      if (!(await this.#parts.pool.yieldTo(wish))) throw error;
      let reservation: Reservation;
      try {
        reservation = this.#reserve(wish, call);
      } catch (again) {
        error = again;
        continue;
      }
      // In the same tick: a release finds the guest not yet there, or with its creation under way.
      return this.#start(reservation, call);
    }
  }

  #start({ guest, slot, donor }: Reservation, call: Call): Allocation | Promise<Allocation> {
    this.#describe(guest, call.span);
    const undo: Undo = (error) => this.#reservations.forget(guest, error);
    if (!slot) return this.#makeCold(guest, donor, call, undo);
    const refused = this.#creation.claimWarm(guest, slot, call.span);
    if (refused) return refused.catch((error) => this.#undone(guest, error, undo));
    call.setSlot("warm");
    return guest.view;
  }

  async #makeCold(
    guest: Guest,
    donor: Donor | undefined,
    { span, setSlot, signal }: Call,
    undo: Undo,
  ): Promise<Allocation> {
    const stop =
      signal && (() => guest.abandon?.(aborted(`instance ${guest.id} was aborted`, signal.reason)));
    if (stop) signal.addEventListener("abort", stop, { once: true });
    try {
      const creation = this.#creation.makeCold(guest, donor, span);
      guest.creation = creation;
      setSlot(await creation);
      return guest.view;
    } catch (error) {
      return await this.#undone(guest, error, undo);
    } finally {
      guest.creation = undefined;
      guest.abandon = undefined;
      if (stop) signal.removeEventListener("abort", stop);
    }
  }

  /** Rejects with `error` when the reservation has been given back. */
  async #undone(guest: Guest, error: unknown, undo: Undo): Promise<never> {
    await undo(error);
    guest.shaped.reject(error as Error);
    throw error;
  }

  #describe(guest: Guest, span: Span): void {
    guest.cause = span.spanContext();
    // Spelling a class costs what arming does, and is for nothing in a trace that nobody records.
    if (!span.isRecording()) return;
    span.setAttributes({ "forknet.tap": guest.view.tap, "forknet.class_id": guest.view.classId });
  }
}
