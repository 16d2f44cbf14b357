// One TCP flow over a socket that is open already: the sending and the receiving half. The same
// code runs on the host and inside a guest; who connects to whom is left to tcp-service.ts.

import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { type Goodput, GoodputMeter } from "./goodput.js";

/**
 * What one end of a flow saw. `digest` is the SHA-256 of the bytes in hex, present when it was
 * asked for.
 */
export interface FlowReport {
  bytes: number;
  goodput: Goodput;
  digest?: string;
}

/** How much to send. With neither limit, until the peer closes. */
export interface SendLimits {
  bytes?: number;
  durationMs?: number;
  digest?: boolean;
}

/**
 * When to stop receiving: `durationMs` after the warm-up, which starts with the first byte; else
 * when the peer ends.
 */
export interface ReceiveLimits {
  warmUpMs?: number;
  durationMs?: number;
  digest?: boolean;
  /** How long the first byte may take. Default 10 seconds. */
  firstByteMs?: number;
}

const BLOCK_BYTES = 65_536;
const DEFAULT_FIRST_BYTE_MS = 10_000;

// A peer that has measured enough closes with our data unread, which reaches us as one of these.
const PEER_CLOSED = new Set(["ECONNRESET", "EPIPE"]);

/** The block a flow repeats: every value, no period that a segment could hide behind. */
function makeBlock(): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  for (let i = 0, x = 0x9e3779b9; i < BLOCK_BYTES; i += 4) {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    block.writeUInt32LE(x, i);
  }
  return block;
}

/**
 * Sends until a limit is reached or the peer closes, then waits until the peer has closed its side
 * too.
 */
export function sendFlow(socket: Socket, limits: SendLimits): Promise<FlowReport> {
  const block = makeBlock();
  const hash = limits.digest ? createHash("sha256") : undefined;
  const byteLimit = limits.bytes ?? Number.POSITIVE_INFINITY;
  const startNs = process.hrtime.bigint();
  const endNs =
    limits.durationMs === undefined
      ? undefined
      : startNs + BigInt(Math.round(limits.durationMs * 1e6));
  let sent = 0;

  const fill = (): void => {
    for (;;) {
      if (socket.destroyed || socket.writableEnded) return;
      if (sent >= byteLimit || (endNs !== undefined && process.hrtime.bigint() >= endNs)) {
        socket.end();
        return;
      }
      let chunk = block.subarray(0, Math.min(BLOCK_BYTES, byteLimit - sent));
      if (hash) {
        // Every block carries its position, so that two swapped blocks change the digest.
        chunk = Buffer.from(chunk);
        if (chunk.length >= 8) chunk.writeDoubleLE(sent, 0);
        hash.update(chunk);
      }
      sent += chunk.length;
      if (!socket.write(chunk)) return;
    }
  };

  return new Promise((resolve, reject) => {
    const finish = (): void => {
      clearTimeout(deadline);
      const seconds = Number(process.hrtime.bigint() - startNs) / 1e9;
      const goodput = { bitsPerSecond: (sent * 8) / seconds, bytes: sent, seconds };
      resolve({ bytes: sent, goodput, ...(hash && { digest: hash.digest("hex") }) });
    };
    // A stalled flow gets no "drain": the deadline has to end it.
    const deadline =
      limits.durationMs === undefined
        ? undefined
        : setTimeout(() => socket.end(), limits.durationMs + 1);
    socket.on("drain", fill);
    socket.on("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(deadline);
      if (PEER_CLOSED.has(error.code ?? "")) return;
      reject(error);
    });
    socket.on("close", finish);
    socket.resume();
    fill();
  });
}

/**
 * Receives until a limit is reached, then drops the connection, or until the peer has sent
 * everything.
 */
export function receiveFlow(socket: Socket, limits: ReceiveLimits): Promise<FlowReport> {
  const warmUpMs = limits.warmUpMs ?? 0;
  const meter = new GoodputMeter(warmUpMs);
  const hash = limits.digest ? createHash("sha256") : undefined;

  return new Promise((resolve, reject) => {
    const firstByteMs = limits.firstByteMs ?? DEFAULT_FIRST_BYTE_MS;
    let timer = setTimeout(
      () => socket.destroy(new Error(`No byte arrived within ${firstByteMs} ms`)),
      firstByteMs,
    );
    let isMeasured = false;

    const finish = (): void => {
      clearTimeout(timer);
      resolve({
        bytes: meter.totalBytes,
        goodput: meter.read(),
        ...(hash && { digest: hash.digest("hex") }),
      });
    };
    socket.on("data", (chunk: Buffer) => {
      if (isMeasured) return;
      if (meter.totalBytes === 0) {
        clearTimeout(timer);
        if (limits.durationMs !== undefined) {
          timer = setTimeout(() => {
            isMeasured = true;
            socket.destroy();
          }, warmUpMs + limits.durationMs);
        }
      }
      meter.add(chunk.length, process.hrtime.bigint());
      hash?.update(chunk);
    });
    socket.on("end", () => socket.end());
    socket.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.on("close", finish);
  });
}
