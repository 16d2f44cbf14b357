// In-memory OpenTelemetry for one test file: what was traced, what is under what, and what a metric
// reads.

import { context, metrics, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  type Histogram,
  MeterProvider,
  type MetricData,
  MetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import { BRIDGE } from "./network.js";

class ReaderOnDemand extends MetricReader {
  protected async onForceFlush(): Promise<void> {}
  protected async onShutdown(): Promise<void> {}
}

const exporter = new InMemorySpanExporter();
const reader = new ReaderOnDemand();

/**
 * Registers the SDK for the calling file. Spans are forgotten before each test; metrics go on
 * counting.
 */
export function recordTelemetry(): void {
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const meters = new MeterProvider({ readers: [reader] });
  beforeAll(() => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    trace.setGlobalTracerProvider(provider);
    metrics.setGlobalMeterProvider(meters);
  });
  beforeEach(forgetSpans);
  afterAll(async () => {
    trace.disable();
    metrics.disable();
    context.disable();
    await Promise.all([provider.shutdown(), meters.shutdown()]);
  });
}

export function forgetSpans(): void {
  exporter.reset();
}

export function finishedSpans(): ReadableSpan[] {
  return exporter.getFinishedSpans();
}

/** Every metric of forknet as the SDK collects it. */
export async function collectMetrics(): Promise<MetricData[]> {
  const { resourceMetrics } = await reader.collect();
  const scopes = resourceMetrics.scopeMetrics.filter(({ scope }) => scope.name === "forknet");
  return scopes.flatMap(({ metrics: all }) => all);
}

export function spansNamed(name: string): ReadableSpan[] {
  return exporter.getFinishedSpans().filter((span) => span.name === name);
}

export function onlySpan(name: string): ReadableSpan {
  const found = spansNamed(name);
  expect(found).toHaveLength(1);
  return found[0] as ReadableSpan;
}

/** Names of the spans under this one, in order of their end. */
export function childrenOf(parent: ReadableSpan): string[] {
  const { spanId, traceId } = parent.spanContext();
  const children = exporter
    .getFinishedSpans()
    .filter((span) => span.parentSpanContext?.spanId === spanId);
  for (const child of children) expect(child.spanContext().traceId).toBe(traceId);
  return children.map(({ name }) => name);
}

/** Names of every span of the trace, the root's included, sorted. */
export function traceOf(span: ReadableSpan): string[] {
  const { traceId } = span.spanContext();
  const names = exporter.getFinishedSpans().filter((one) => one.spanContext().traceId === traceId);
  return names.map(({ name }) => name).sort();
}

/** What went wrong while all metrics were read. */
export async function collectErrors(): Promise<unknown[]> {
  return (await reader.collect()).errors;
}

/**
 * The points of one metric of the test network: attribute values in order of their names, to the
 * value or count.
 */
export async function readMetric(name: string): Promise<Map<string, number>> {
  const { resourceMetrics } = await reader.collect();
  const found = resourceMetrics.scopeMetrics
    .flatMap(({ scope, metrics: all }) => (scope.name === "forknet" ? all : []))
    .find(({ descriptor }) => descriptor.name === name);
  const points = (found?.dataPoints ?? []) as {
    attributes: Record<string, unknown>;
    value: number | Histogram;
  }[];
  return new Map(
    points.map(({ attributes, value }) => {
      const { "forknet.bridge": bridge, ...rest } = attributes;
      expect(bridge).toBe(BRIDGE);
      const key = Object.keys(rest)
        .sort()
        .map((attribute) => String(rest[attribute]));
      return [key.join(" "), typeof value === "number" ? value : value.count];
    }),
  );
}
