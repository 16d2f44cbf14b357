// Spans of a network. All are made on the main thread, from time stamps that workers return as
// data.

import {
  type Attributes,
  context,
  INVALID_SPAN_CONTEXT,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import { monotonicMs } from "../clock.js";
import { ForknetError } from "../errors.js";
import { VERSION } from "../version.js";
import { harmless } from "./harmless.js";

/** Fetched at each use: an SDK may be registered after forknet was imported. */
const tracer = () => trace.getTracer("forknet", VERSION);

/** Where the clock of clock.ts stood at the epoch, as far as this process can tell. */
const epochOffsetMs = performance.timeOrigin + performance.now() - monotonicMs();

/** Milliseconds since the epoch for a time stamp of clock.ts. */
function epochMs(at: number): number {
  return epochOffsetMs + at;
}

/** Starts an operation's span under the caller's active one. */
export function startSpan(name: string, attributes: Attributes): Span {
  return started(() => tracer().startSpan(name, { kind: SpanKind.INTERNAL, attributes }));
}

/** A span that records nothing where the SDK refuses one. */
function started(start: () => Span): Span {
  let span: Span | undefined;
  harmless(() => {
    span = start();
  });
  return span ?? trace.wrapSpanContext(INVALID_SPAN_CONTEXT);
}

/** Starts the root of a trace of its own, linked to the span that caused it. */
export function startLinkedRoot(
  name: string,
  cause: SpanContext | undefined,
  startedMs: number,
  attributes: Attributes,
): Span {
  const links = cause ? [{ context: cause }] : [];
  const options = { root: true, links, startTime: epochMs(startedMs), attributes };
  return started(() => tracer().startSpan(name, options, ROOT_CONTEXT));
}

/** Adds a finished child for something that happened between two time stamps. */
export function addChild(parent: Span, name: string, startedMs: number, endedMs: number): void {
  // Without an SDK, or in a trace that is not sampled, there is nothing to add to, and a warm fork
  // has no time to spare.
  if (!parent.isRecording()) return;
  const under = trace.setSpan(context.active(), parent);
  const startTime = epochMs(startedMs);
  harmless(() => tracer().startSpan(name, { startTime }, under).end(epochMs(endedMs)));
}

/** Ends a span; with an error it gets its status, `error.type` and the exception. */
export function endSpan(span: Span, error?: unknown, endedMs?: number): void {
  harmless(() => {
    if (error !== undefined) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).message });
      span.setAttribute("error.type", errorType(error));
      span.recordException(error as Error);
    }
    span.end(endedMs === undefined ? undefined : epochMs(endedMs));
  });
}

/** The low-cardinality name of an error: its code. */
export function errorType(error: unknown): string {
  return error instanceof ForknetError ? error.code : ((error as Error)?.name ?? "unknown");
}
