// Metrics of a network, and the names of all of them. Attributes never hold an instance, a TAP or
// an address.

import { metrics, type ObservableCallback } from "@opentelemetry/api";
import type { LaneName } from "../lanes/job.js";
import { VERSION } from "../version.js";
import { harmless } from "./harmless.js";

/** What the gauges show, read when an exporter collects. */
export interface Readings {
  allocations: () => Record<string, number>;
  laneDepths: () => Record<string, number>;
  poolSlots: () => Record<string, number>;
  /** Frames dropped by the programs, by reason, since the map was made. */
  guardDrops: () => Record<string, number>;
}

/**
 * Seconds. The SDK's own boundaries begin at 5, and a warm fork takes a ten-thousandth of a second.
 */
const SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10,
];

/** The one reason that is the shaper's, not the guard's: it has a metric of its own. */
const UNCLASSIFIED = "unclassified";

export class Metrics {
  readonly #meter = metrics.getMeter("forknet", VERSION);
  readonly #bridge: { "forknet.bridge": string };
  readonly #duration = this.#meter.createHistogram("forknet.operation.duration", {
    unit: "s",
    description: "Time of one call, without background shaping",
    advice: { explicitBucketBoundaries: SECONDS },
  });
  readonly #delay = this.#meter.createHistogram("forknet.shaping.delay", {
    unit: "s",
    description: "From the fork, or the change, until its limits were in place",
    advice: { explicitBucketBoundaries: SECONDS },
  });
  readonly #errors = this.#meter.createCounter("forknet.kernel.errors", {
    description: "Refusals of the kernel",
  });
  readonly #reaped = this.#meter.createCounter("forknet.reaped", {
    description: "Kernel objects deleted",
  });
  readonly #lost = this.#meter.createCounter("forknet.worker.lost", {
    description: "Worker threads that died",
  });
  readonly #stopObserving: (() => void)[] = [];
  /** Packets the shaper sent without a class, as the last inspection found. */
  #direct = 0;

  constructor(bridge: string, readings: Readings) {
    this.#bridge = { "forknet.bridge": bridge };
    // From 0 on, so that the first death is a rise.
    for (const worker of ["create", "shape", "reap"] as const) this.#addLost(worker, 0);
    this.#gauge("forknet.allocations", "state", "Guests by state", readings.allocations);
    this.#gauge("forknet.lane.depth", "lane", "Jobs that wait or run", readings.laneDepths);
    this.#gauge("forknet.pool.slots", "state", "Warm slots", readings.poolSlots);
    this.#counter("forknet.guard.dropped", "{frame}", "Frames dropped at the TAP", (observe) => {
      for (const [reason, count] of Object.entries(readings.guardDrops())) {
        if (reason !== UNCLASSIFIED) observe(count, { reason });
      }
    });
    this.#counter(
      "forknet.unclassified",
      "{packet}",
      "Packets at the shaper without a class",
      (observe) => {
        observe((readings.guardDrops()[UNCLASSIFIED] ?? 0) + this.#direct, {});
      },
    );
  }

  operation(
    operation: string,
    seconds: number,
    slot: string | undefined,
    errorType: string | undefined,
  ): void {
    const attributes = {
      ...this.#bridge,
      operation,
      ...(slot ? { slot } : {}),
      ...(errorType ? { "error.type": errorType } : {}),
    };
    harmless(() => this.#duration.record(seconds, attributes));
  }

  shaped(seconds: number, outcome: "shaped" | "failed" | "cancelled"): void {
    harmless(() => this.#delay.record(seconds, { ...this.#bridge, outcome }));
  }

  kernelError(operation: string, errorType: string): void {
    const attributes = { ...this.#bridge, operation, "error.type": errorType };
    harmless(() => this.#errors.add(1, attributes));
  }

  reaped(
    kind: "tap" | "class" | "lease" | "neighbor",
    reason: "release" | "standby" | "leftover" | "pool" | "failed_create",
  ): void {
    harmless(() => this.#reaped.add(1, { ...this.#bridge, kind, reason }));
  }

  workerLost(worker: LaneName): void {
    this.#addLost(worker, 1);
  }

  /** Packets that HTB sent past its classes, which count as unclassified. Never falls. */
  sentUnclassified(packets: number): void {
    this.#direct = Math.max(this.#direct, packets);
  }

  /** Stops the gauges of this network. */
  close(): void {
    for (const stop of this.#stopObserving.splice(0)) stop();
  }

  #addLost(worker: LaneName, count: number): void {
    harmless(() => this.#lost.add(count, { ...this.#bridge, worker }));
  }

  #gauge(
    name: string,
    attribute: string,
    description: string,
    read: () => Record<string, number>,
  ): void {
    const gauge = this.#meter.createObservableGauge(name, { description });
    const callback: ObservableCallback = (result) => {
      for (const [key, value] of Object.entries(read()))
        result.observe(value, { ...this.#bridge, [attribute]: key });
    };
    gauge.addCallback(callback);
    this.#stopObserving.push(() => gauge.removeCallback(callback));
  }

  #counter(
    name: string,
    unit: string,
    description: string,
    read: (observe: (value: number, attributes: Record<string, string>) => void) => void,
  ): void {
    const counter = this.#meter.createObservableCounter(name, { unit, description });
    const callback: ObservableCallback = (result) =>
      read((value, attributes) => result.observe(value, { ...this.#bridge, ...attributes }));
    counter.addCallback(callback);
    this.#stopObserving.push(() => counter.removeCallback(callback));
  }
}
