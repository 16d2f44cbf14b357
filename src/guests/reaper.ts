// Deletes TAPs through the reap lane, for everybody who has one to give up.

import type { Span } from "@opentelemetry/api";
import type { ForknetError } from "../errors.js";
import { publish } from "../events/events.js";
import type { Lane } from "../lanes/lane.js";
import type { ReapJob } from "../plans/reap.js";
import type { Metrics } from "../telemetry/metrics.js";
import { addChild } from "../telemetry/traces.js";

export type ReapReason = Parameters<Metrics["reaped"]>[1];

export class Reaper {
  readonly #bridge: string;
  readonly #lane: Lane<ReapJob, undefined>;
  readonly #metrics: Metrics;
  /** The TAPs that are being deleted, by ifindex. */
  readonly underWay = new Set<number>();

  constructor(bridge: string, lane: Lane<ReapJob, undefined>, metrics: Metrics) {
    this.#bridge = bridge;
    this.#lane = lane;
    this.#metrics = metrics;
  }

  /** Resolves when the TAP and its neighbour entry are gone. The caller has disarmed it. */
  async reap(job: ReapJob, reason: ReapReason, span?: Span): Promise<void> {
    this.underWay.add(job.ifindex);
    const { time } = await this.#lane
      .submit(job)
      .done.finally(() => this.underWay.delete(job.ifindex));
    this.#metrics.reaped("tap", reason);
    if (!span) return;
    addChild(span, "forknet.reap.wait", time.queuedMs, time.startedMs);
    addChild(span, "forknet.reap.apply", time.startedMs, time.endedMs);
  }

  /**
   * The same without anybody waiting: a failure is an event, and the TAP a leftover for the next
   * open.
   */
  async reapQuietly(job: ReapJob, reason: ReapReason): Promise<boolean> {
    try {
      await this.reap(job, reason);
      return true;
    } catch (error) {
      publish("forknet:reap-failed", {
        bridge: this.#bridge,
        tap: job.tapName,
        error: error as ForknetError,
      });
      return false;
    }
  }
}
