// What crosses the control socket: one JSON object a line each way, `{ forknet, id, method, params }`
// and `{ forknet, id, result }` or `{ forknet, id, error }`. Versions and bounds are here.

import { ForknetError, type ForknetErrorCode, type ForknetErrorFields } from "../errors.js";
import type { ReconcileReport } from "../reconcile/reconcile.js";
import type { VerifyReport } from "../reconcile/verify.js";
import type { LimitsRequest } from "../request.js";
import type { GuestStatus, NetworkStatus } from "./status.js";

/** Changes when a client of before could misread an answer. Fields may be added without. */
export const PROTOCOL = 1;
/** A request is an id and a few limits, or the ids that a reconcile keeps. */
export const LONGEST_REQUEST_BYTES = 64 * 1024;
/** A status of a thousand guests has 0.7 MB. */
export const LONGEST_ANSWER_BYTES = 64 * 1024 * 1024;

export const SOCKET_NAME = "control.sock";

/** A reconcile as it crosses the socket: errors are data. */
export interface PlainReconcileReport extends Omit<ReconcileReport, "actions"> {
  actions: (Omit<ReconcileReport["actions"][number], "error"> & { error?: PlainError })[];
}

/** What can be asked. */
export interface Methods {
  status: { params: object; result: NetworkStatus };
  verify: { params: { instanceId?: string }; result: VerifyReport };
  reconcile: { params: { dryRun?: boolean }; result: PlainReconcileReport };
  limits: { params: { instanceId: string } & LimitsRequest; result: GuestStatus };
  release: { params: { instanceId: string }; result: { released: string } };
  destroy: { params: object; result: { destroyed: string } };
}

export type MethodName = keyof Methods;

/** An error's own fields, as data. */
export interface PlainError extends Omit<ForknetErrorFields, "cause"> {
  code: ForknetErrorCode;
  message: string;
}

export interface Answer {
  forknet: number;
  id: number;
  result?: unknown;
  error?: PlainError;
}

/** Anything that was thrown; what is no ForknetError counts as the kernel's refusal. */
export function toPlainError(error: unknown): PlainError {
  if (!(error instanceof ForknetError))
    return { code: "ERR_FORKNET_KERNEL", message: String((error as Error)?.message ?? error) };
  // `name` is the same for all, and what else is enumerable is data.
  const { name: _, ...fields } = error;
  return { ...fields, code: error.code, message: error.message };
}

/** The error that toPlainError was given; what is no error of ours becomes one that says so. */
export function fromPlainError(plain: unknown): ForknetError {
  const { code, message, ...fields } = (plain ?? {}) as Partial<PlainError>;
  const isKnown = typeof code === "string" && /^ERR_FORKNET_[A-Z_]+$/.test(code);
  if (!isKnown || typeof message !== "string")
    return new ForknetError("ERR_FORKNET_KERNEL", "the agent's error makes no sense");
  return new ForknetError(code, message, fields);
}

/** Cuts a stream into lines, and refuses to remember more than a line may have. */
export class LineReader {
  readonly #mostBytes: number;
  #parts: Buffer[] = [];
  #heldBytes = 0;

  constructor(mostBytes: number) {
    this.#mostBytes = mostBytes;
  }

  /** The lines that are complete now. Throws a RangeError for one that is too long. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      this.#hold(chunk.subarray(start, end));
      lines.push(Buffer.concat(this.#parts).toString("utf8"));
      this.#parts = [];
      this.#heldBytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start));
    return lines;
  }

  /** What came after the last line's end. */
  rest(): string {
    return Buffer.concat(this.#parts).toString("utf8");
  }

  #hold(part: Buffer): void {
    this.#heldBytes += part.length;
    if (this.#heldBytes > this.#mostBytes)
      throw new RangeError(`a line of more than ${this.#mostBytes} bytes`);
    this.#parts.push(part);
  }
}
