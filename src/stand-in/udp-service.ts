// UDP in the caller's network namespace: a listener that counts (and echoes, if asked), a paced
// sender, an echo probe. Used by the host side of a test and inside a stand-in guest.

import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

export interface UdpServiceOptions {
  /** Default: every address. */
  host?: string;
  /** Default 0: the kernel chooses. */
  port?: number;
  /** Send every datagram back. */
  echo?: boolean;
}

/** What arrived; `sources` counts datagrams by the sender's address. */
export interface UdpReport {
  datagrams: number;
  bytes: number;
  sources: Record<string, number>;
}

export interface UdpSendOptions {
  host: string;
  port: number;
  /** Payload of one datagram. Default 64. */
  sizeBytes?: number;
  /** Default 1. */
  count?: number;
  /** Datagrams per second. Default: as fast as the socket takes them. */
  perSecond?: number;
  localAddress?: string;
  localPort?: number;
}

/** `refused` counts datagrams the guest's own stack would not send. */
export interface UdpSendReport {
  sent: number;
  refused: number;
}

export interface UdpEchoOptions {
  host: string;
  port: number;
  /** Payload of one datagram. Default 64. */
  sizeBytes?: number;
  /** How long one answer may take. Default 500 ms. */
  timeoutMs?: number;
  /** Default 20: the first may be lost to ARP, others to a busy machine. */
  attempts?: number;
  localAddress?: string;
}

const DEFAULT_SIZE_BYTES = 64;
const DEFAULT_ECHO_TIMEOUT_MS = 500;
const DEFAULT_ECHO_ATTEMPTS = 20;
const PACE_TICK_MS = 1;
// Bounds what waits inside Node when the socket takes less than the pace asks for.
const MAX_UNSENT = 256;

async function bindUdp(host: string | undefined, port: number | undefined): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.bind({ port: port ?? 0, ...(host !== undefined && { address: host }) });
  await once(socket, "listening");
  return socket;
}

async function closeUdp(socket: Socket): Promise<void> {
  socket.close();
  await once(socket, "close");
}

/** A listener that counts datagrams. */
export class UdpService {
  readonly port: number;
  readonly #socket: Socket;
  readonly #report: UdpReport = { datagrams: 0, bytes: 0, sources: {} };
  #isOpen = true;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.port = socket.address().port;
  }

  /** Resolves when it is bound. Rejects with Node's error, EADDRINUSE for instance. */
  static async listen(options: UdpServiceOptions = {}): Promise<UdpService> {
    const socket = await bindUdp(options.host, options.port);
    const service = new UdpService(socket);
    socket.on("message", (data: Buffer, from: RemoteInfo) => {
      service.#note(data, from);
      if (options.echo) socket.send(data, from.port, from.address);
    });
    // An echo to somebody who left comes back as an ICMP error; counting goes on.
    socket.on("error", () => undefined);
    return service;
  }

  /** What has arrived so far. */
  report(): UdpReport {
    return structuredClone(this.#report);
  }

  /** Idempotent. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await closeUdp(this.#socket);
  }

  #note(data: Buffer, from: RemoteInfo): void {
    const { sources } = this.#report;
    this.#report.datagrams += 1;
    this.#report.bytes += data.length;
    sources[from.address] = (sources[from.address] ?? 0) + 1;
  }
}

/**
 * Sends `count` datagrams at the pace asked for; resolves when the last one has left the socket.
 */
export async function sendUdp(options: UdpSendOptions): Promise<UdpSendReport> {
  const socket = await bindUdp(options.localAddress, options.localPort);
  const count = options.count ?? 1;
  const perMs = (options.perSecond ?? Number.POSITIVE_INFINITY) / 1000;
  const payload = Buffer.alloc(options.sizeBytes ?? DEFAULT_SIZE_BYTES, "forknet ");
  const startMs = performance.now();
  const report = { sent: 0, refused: 0 };
  let handedOver = 0;
  try {
    while (report.sent + report.refused < count) {
      const elapsedMs = performance.now() - startMs + PACE_TICK_MS;
      const due =
        perMs === Number.POSITIVE_INFINITY ? count : Math.min(count, Math.floor(elapsedMs * perMs));
      const unsent = handedOver - report.sent - report.refused;
      for (let room = MAX_UNSENT - unsent; room > 0 && handedOver < due; room--) {
        handedOver += 1;
        socket.send(payload, options.port, options.host, (error) => {
          if (error) report.refused += 1;
          else report.sent += 1;
        });
      }
      await sleep(PACE_TICK_MS);
    }
  } finally {
    await closeUdp(socket);
  }
  return report;
}

/**
 * The round trip in milliseconds of the first answer, undefined when none came. The port must echo.
 */
export async function echoUdp(options: UdpEchoOptions): Promise<number | undefined> {
  const socket = await bindUdp(options.localAddress, 0);
  const sizeBytes = options.sizeBytes ?? DEFAULT_SIZE_BYTES;
  try {
    for (let attempt = 0; attempt < (options.attempts ?? DEFAULT_ECHO_ATTEMPTS); attempt++) {
      const startMs = performance.now();
      const answer = once(socket, "message", {
        signal: AbortSignal.timeout(options.timeoutMs ?? DEFAULT_ECHO_TIMEOUT_MS),
      });
      const payload = Buffer.alloc(sizeBytes, `forknet echo ${attempt} `);
      socket.send(payload, options.port, options.host, () => undefined);
      const isAnswered = await answer.then(
        () => true,
        () => false,
      );
      if (isAnswered) return performance.now() - startMs;
    }
    return undefined;
  } finally {
    await closeUdp(socket);
  }
}
