// TCP as a service in the caller's network namespace: a listener in one of three roles, and the
// clients for it. The bytes of a flow are left to tcp-flow.ts. Used by the host side of a test and
// inside a stand-in guest.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import {
  type FlowReport,
  type ReceiveLimits,
  receiveFlow,
  type SendLimits,
  sendFlow,
} from "./tcp-flow.js";

/** What a listener does with a connection: swallow, send, or return what comes. */
export type TcpRole = "sink" | "source" | "echo";

export interface TcpServiceOptions extends SendLimits, ReceiveLimits {
  role: TcpRole;
  /** Default: every address. */
  host?: string;
  /** Default 0: the kernel chooses. */
  port?: number;
}

/** Where a client connects to, and from which of its addresses. */
export interface TcpTarget {
  host: string;
  port: number;
  localAddress?: string;
  /** Default 10 seconds. */
  connectTimeoutMs?: number;
}

export type TcpSendOptions = TcpTarget & SendLimits;
export type TcpReceiveOptions = TcpTarget & ReceiveLimits;

const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;

/** A listener. Reports of finished connections wait until somebody asks for them, oldest first. */
export class TcpService {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #reports: Promise<FlowReport>[] = [];
  readonly #waiting: ((report: Promise<FlowReport>) => void)[] = [];

  private constructor(server: Server, options: TcpServiceOptions) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on("connection", (socket) => this.#accept(socket, options));
  }

  /** Resolves when it listens. Rejects with Node's error, EADDRINUSE for instance. */
  static async listen(options: TcpServiceOptions): Promise<TcpService> {
    // Half-open: an echo and a sink answer after the peer's FIN.
    const server = createServer({ allowHalfOpen: true });
    server.listen(options.port ?? 0, options.host);
    await once(server, "listening");
    return new TcpService(server, options);
  }

  /**
   * The next finished connection; rejects when it broke. Connections of an echo end without a
   * report.
   */
  nextReport(): Promise<FlowReport> {
    const ready = this.#reports.shift();
    if (ready) return ready;
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  /** Drops every connection; whoever still waits for a report is refused. Idempotent. */
  async close(): Promise<void> {
    const closed = new Error(`The TCP service on port ${this.port} is closed`);
    for (const waiter of this.#waiting.splice(0)) waiter(Promise.reject(closed));
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(socket: Socket, options: TcpServiceOptions): void {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    if (options.role === "echo") {
      socket.on("error", () => socket.destroy());
      socket.pipe(socket);
      return;
    }
    const report =
      options.role === "sink" ? receiveFlow(socket, options) : sendFlow(socket, options);
    // Nobody may ever ask for this report: its failure must not bring the process down.
    report.catch(() => undefined);
    const waiter = this.#waiting.shift();
    if (waiter) waiter(report);
    else this.#reports.push(report);
  }
}

/** Rejects with Node's connection error, or ETIMEDOUT after `connectTimeoutMs`. */
export async function openTcp(target: TcpTarget): Promise<Socket> {
  const { host, port, localAddress } = target;
  const socket = connect({
    host,
    port,
    allowHalfOpen: true,
    ...(localAddress !== undefined && { localAddress }),
  });
  const timeoutMs = target.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS;
  const timer = setTimeout(() => {
    const error = new Error(`connect ETIMEDOUT ${host}:${port} after ${timeoutMs} ms`);
    socket.destroy(Object.assign(error, { code: "ETIMEDOUT" }));
  }, timeoutMs);
  try {
    await once(socket, "connect");
  } finally {
    clearTimeout(timer);
  }
  return socket;
}

/** Connects and sends; resolves when the peer has read everything, or has closed. */
export async function sendTcp(options: TcpSendOptions): Promise<FlowReport> {
  return sendFlow(await openTcp(options), options);
}

/** Connects and receives until the limits or the peer end it. */
export async function receiveTcp(options: TcpReceiveOptions): Promise<FlowReport> {
  return receiveFlow(await openTcp(options), options);
}

/**
 * "connected", or the code of the refusal: ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT (a dropped SYN),
 * ...
 */
export async function probeTcp(target: TcpTarget): Promise<string> {
  try {
    const socket = await openTcp(target);
    socket.destroy();
    await once(socket, "close");
    return "connected";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
}
