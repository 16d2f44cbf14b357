// Brings guests' limits into the kernel in the background: one job a guest at a time, a newer one
// overtakes a waiting one, a release cancels both.

import { monotonicMs } from "../clock.js";
import { Deferred } from "../deferred.js";
import type { ForknetError } from "../errors.js";
import { publish } from "../events/events.js";
import type { NetworkFacts } from "../facts.js";
import { formatClass } from "../identity/class-pool.js";
import type { Done, Lane, Ticket } from "../lanes/lane.js";
import type { Late } from "../lanes/late.js";
import { formatAlias } from "../lease/alias.js";
import { type KernelLimits, type Limits, type ShapingDefaults, toKernelLimits } from "../limits.js";
import type { ShapeJob } from "../plans/shape.js";
import type { Metrics } from "../telemetry/metrics.js";
import { addChild, endSpan, startLinkedRoot } from "../telemetry/traces.js";
import type { ClassSwitch } from "./class-switch.js";
import type { Guest } from "./guest.js";

/** One wish for limits on its way. */
interface Work {
  /** The wish in the kernel's units, from when its job was made. */
  limits?: KernelLimits;
  /** What the alias says again when the kernel refuses. */
  readonly former: Limits;
  readonly askedMs: number;
  readonly outcome: Deferred;
  ticket?: Ticket<undefined>;
  cancelled: boolean;
}

/** A guest's work: what is in the lane, and what waits for that to end. */
interface Line {
  current?: Work;
  next?: Work;
}

/** A millisecond of the event loop, and what one call of the shape worker takes: a burst is taken up in so many turns. */
const BEGUN_PER_TURN = 128;

export class Shaping {
  readonly #facts: NetworkFacts;
  readonly #defaults: ShapingDefaults;
  readonly #lane: Lane<Late<ShapeJob>, undefined>;
  readonly #classes: ClassSwitch;
  readonly #metrics: Metrics;
  readonly #lines = new Map<Guest, Line>();
  /** Guests whose first limits are asked for at the end of this turn or a next, and since when. */
  readonly #starting = new Map<Guest, number>();
  #endOfTurn: NodeJS.Immediate | undefined;

  constructor(
    facts: NetworkFacts,
    defaults: ShapingDefaults,
    lane: Lane<Late<ShapeJob>, undefined>,
    classes: ClassSwitch,
    metrics: Metrics,
  ) {
    this.#facts = facts;
    this.#defaults = defaults;
    this.#lane = lane;
    this.#classes = classes;
    this.#metrics = metrics;
  }

  /**
   * Brings `guest.lease.limits` into the kernel. The promise settles with the limits that end up in
   * place: a wish that was overtaken settles as its successor does. `former` is what holds when the
   * kernel refuses.
   */
  schedule(guest: Guest, former: Limits = guest.lease.limits): Promise<void> {
    this.#begin(guest);
    return this.#enter(guest, former, monotonicMs());
  }

  /**
   * Schedules the limits a guest starts with; `guest.shaping` and `guest.shaped` follow. At the end
   * of the turn, because the caller of the fork waits for the rest of it.
   */
  start(guest: Guest): void {
    guest.shaping = "pending";
    this.#starting.set(guest, monotonicMs());
    this.#endOfTurn ??= setImmediate(() => this.#beginSome());
  }

  /** Hands all that was started to the lane: for who waits until the lane is idle. */
  beginAll(): void {
    clearImmediate(this.#endOfTurn);
    this.#endOfTurn = undefined;
    for (const guest of this.#starting.keys()) this.#begin(guest);
  }

  #beginSome(): void {
    let left = BEGUN_PER_TURN;
    for (const guest of this.#starting.keys()) {
      if (left-- === 0) break;
      this.#begin(guest);
    }
    const isOver = this.#starting.size === 0;
    this.#endOfTurn = isOver ? undefined : setImmediate(() => this.#beginSome());
  }

  /** Drops what waits and disowns what runs; their promises reject with `reason`. */
  cancel(guest: Guest, reason: ForknetError): void {
    this.#begin(guest);
    const line = this.#lines.get(guest);
    if (!line) return;
    for (const work of [line.next, line.current]) {
      if (!work) continue;
      work.cancelled = true;
      work.outcome.reject(reason);
      this.#metrics.shaped((monotonicMs() - work.askedMs) / 1000, "cancelled");
    }
    delete line.next;
    if (line.current?.ticket?.cancel()) this.#lines.delete(guest);
  }

  /**
   * Resolves when no job of this guest is in the worker's hands: only then may its class go to
   * another.
   */
  async settled(guest: Guest): Promise<void> {
    await this.#lines.get(guest)?.current?.ticket?.done.catch(() => {});
  }

  #begin(guest: Guest): void {
    const askedMs = this.#starting.get(guest);
    if (askedMs === undefined) return;
    this.#starting.delete(guest);
    const { shaped } = guest;
    this.#enter(guest, guest.lease.limits, askedMs).then(shaped.resolve, (error: Error) => {
      if (guest.state === "active") guest.shaping = "failed";
      shaped.reject(error);
    });
  }

  #enter(guest: Guest, former: Limits, askedMs: number): Promise<void> {
    const work: Work = { former, askedMs, outcome: new Deferred(), cancelled: false };
    const line = this.#lines.get(guest) ?? {};
    this.#lines.set(guest, line);
    if (line.next) follow(line.next, work);
    if (line.current?.ticket?.cancel()) {
      follow(line.current, work);
      delete line.current;
    }
    line.next = work;
    this.#advance(guest, line);
    return work.outcome.promise;
  }

  #advance(guest: Guest, line: Line): void {
    if (line.current || !line.next) {
      if (!line.current) this.#lines.delete(guest);
      return;
    }
    const work = line.next;
    delete line.next;
    line.current = work;
    work.ticket = this.#lane.submit(() => this.#jobFor(guest, work), {
      onLost: () => notKnown(guest),
    });
    work.ticket.done
      .then((done) => this.#succeeded(guest, work, done))
      .catch((error: ForknetError) => this.#failed(guest, work, error))
      .finally(() => {
        if (line.current === work) delete line.current;
        this.#advance(guest, line);
      });
  }

  #jobFor(guest: Guest, work: Work): ShapeJob {
    const port = guest.port as NonNullable<Guest["port"]>;
    const { lease } = guest;
    const limits = toKernelLimits(lease.limits, this.#defaults);
    work.limits = limits;
    return {
      tapName: port.tapName,
      ifindex: guest.ifindex,
      ...this.#classes.target(guest),
      limits,
      ...(guest.applied ? { previous: guest.applied } : {}),
      previousAlias: formatAlias({ ...lease, limits: work.former }),
      ...(guest.isUnproved ? { unproved: { ip: lease.ip, mac: lease.mac } } : {}),
    };
  }

  #succeeded(guest: Guest, work: Work, { time }: Done<undefined>): void {
    guest.applied = work.limits;
    guest.isUnproved = false;
    this.#classes.made(guest);
    const error = work.cancelled ? undefined : this.#classes.letPass(guest);
    if (error) {
      this.#failed(guest, work, error);
      return;
    }
    this.#trace(guest, time);
    if (work.cancelled) return;
    if (!this.#lines.get(guest)?.next) guest.shaping = "shaped";
    this.#metrics.shaped((time.endedMs - work.askedMs) / 1000, "shaped");
    work.outcome.resolve();
  }

  #failed(guest: Guest, work: Work, error: ForknetError): void {
    const at = monotonicMs();
    this.#trace(guest, { queuedMs: work.askedMs, startedMs: at, endedMs: at }, error);
    // After a failed undo nobody knows what is in place, nor what refused without a number.
    if (error.code === "ERR_FORKNET_ROLLBACK" || error.errno === undefined) notKnown(guest);
    if (work.cancelled) return;
    this.#metrics.shaped((at - work.askedMs) / 1000, "failed");
    publish("forknet:shaping-failed", {
      bridge: this.#facts.bridge.name,
      instanceId: guest.id,
      error,
    });
    work.outcome.reject(error);
  }

  #trace(guest: Guest, time: Done<undefined>["time"], error?: ForknetError): void {
    const span = startLinkedRoot("forknet.shape", guest.cause, time.queuedMs, {
      "forknet.instance_id": guest.id,
      "forknet.bridge": this.#facts.bridge.name,
      "forknet.tap": guest.port?.tapName ?? "",
      "forknet.class_id": guest.port ? formatClass(guest.port.class.minor) : "",
    });
    addChild(span, "forknet.shape.wait", time.queuedMs, time.startedMs);
    addChild(span, "forknet.shape.apply", time.startedMs, time.endedMs);
    endSpan(span, error, time.endedMs);
  }
}

/** Nobody knows what is in place: the next job writes all of it. */
function notKnown(guest: Guest): void {
  guest.applied = undefined;
  if (guest.moving) guest.moving = { ...guest.moving, wasSent: true };
}

/** An overtaken wish settles as the one that overtook it. */
function follow(overtaken: Work, by: Work): void {
  by.outcome.promise.then(overtaken.outcome.resolve, overtaken.outcome.reject);
}
