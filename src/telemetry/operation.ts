// One call of the public interface as telemetry sees it: a span, and a duration in the histogram.

import type { Span } from "@opentelemetry/api";
import { monotonicMs } from "../clock.js";
import type { Metrics } from "./metrics.js";
import { addChild, endSpan, errorType, startSpan } from "./traces.js";

/** Tells which kind of slot served the call, once that is known. */
export type SetSlot = (kind: string) => void;

/**
 * Runs `create_allocation` and its like inside their span; a failure gets its status and its code.
 * What `run` does at once is returned at once: a promise costs a warm fork as much as its lease.
 */
export function measured<T>(
  { operation, instanceId, bridge }: { operation: string; instanceId: string; bridge: string },
  metrics: Metrics,
  run: (span: Span, setSlot: SetSlot) => T | Promise<T>,
): T | Promise<T> {
  const startedMs = monotonicMs();
  const attributes = { "forknet.instance_id": instanceId, "forknet.bridge": bridge };
  const span = startSpan(`forknet.${operation}`, attributes);
  let slot: string | undefined;
  const setSlot: SetSlot = (kind) => {
    slot = kind;
    span.setAttribute("forknet.slot", kind);
  };
  const finish = (failed?: unknown) => {
    endSpan(span, failed);
    const type = failed === undefined ? undefined : errorType(failed);
    metrics.operation(operation, (monotonicMs() - startedMs) / 1000, slot, type);
  };
  const fail = (error: unknown): never => {
    finish(error);
    throw error;
  };
  let result: T | Promise<T>;
  try {
    result = run(span, setSlot);
  } catch (error) {
    return fail(error);
  }
  if (result instanceof Promise)
    return result.then((value) => {
      finish();
      return value;
    }, fail);
  finish();
  return result;
}

/** Runs the synchronous reservation of a fork and adds its span. */
export function reserved<T>(span: Span, reserve: () => T): T {
  const startedMs = monotonicMs();
  try {
    return reserve();
  } finally {
    addChild(span, "forknet.reserve", startedMs, monotonicMs());
  }
}
