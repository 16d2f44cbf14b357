// A guest without a virtual machine: a process with a TCP/IP stack of its own behind a host's TAP.
// For tests and for the demo. This is the host's handle; the process itself is guest-process.ts.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Refusal } from "../kernel/binding.js";
import type { Message } from "../kernel/messages.js";
import {
  type CommandName,
  type CommandOptions,
  type CommandResult,
  type ErrorData,
  type FromGuest,
  type GuestOptions,
  toStartOptions,
} from "./commands.js";
import type { FlowReport } from "./tcp-flow.js";
import type {
  TcpReceiveOptions,
  TcpSendOptions,
  TcpServiceOptions,
  TcpTarget,
} from "./tcp-service.js";
import type {
  UdpEchoOptions,
  UdpReport,
  UdpSendOptions,
  UdpSendReport,
  UdpServiceOptions,
} from "./udp-service.js";

/** A TCP listener inside a guest. */
export interface GuestTcpService {
  readonly port: number;
  /** The next finished connection, oldest first. */
  nextReport(): Promise<FlowReport>;
  close(): Promise<void>;
}

/** A counting UDP listener inside a guest. */
export interface GuestUdpService {
  readonly port: number;
  /** What has arrived so far. */
  report(): Promise<UdpReport>;
  close(): Promise<void>;
}

interface Waiter {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

// From TypeScript sources (a test runner) the process is still the compiled one: a build comes
// first.
const PROCESS_FILE = fileURLToPath(
  new URL(
    import.meta.url.endsWith(".ts") ? "../../dist/stand-in/guest-process.js" : "./guest-process.js",
    import.meta.url,
  ),
);

function toError({ message, code }: ErrorData): Error {
  return Object.assign(new Error(message), code !== undefined && { code });
}

/**
 * Starts a guest behind a TAP of the current network namespace. Resolves when its eth0 is up and
 * wired. Rejects, with no process left, when the TAP does not exist or is in use, or privileges are
 * missing.
 */
export async function startGuest(options: GuestOptions): Promise<Guest> {
  const child = fork(PROCESS_FILE, [], {
    execArgv: [],
    env: {},
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const start = toStartOptions(options);
  const answer = new Promise<FromGuest>((resolve, reject) => {
    child.once("message", (message: FromGuest) => resolve(message));
    child.once("error", reject);
    child.once("exit", (code, signal) =>
      reject(new Error(`The guest on ${start.tap} ended at start: ${signal ?? code}`)),
    );
  });
  child.send({ type: "start", options: start }, () => undefined);
  try {
    const first = await answer;
    if (first.type === "started") return new Guest(child, start, first.ifindex);
    throw first.type === "refused"
      ? toError(first.error)
      : new Error(`Unexpected answer of a guest: ${first.type}`);
  } catch (error) {
    await kill(child);
    throw error;
  }
}

/**
 * A guest holds nothing that outlives it, so it is killed: the kernel closes its TAP, as it does
 * for a VMM.
 */
async function kill(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/** A running guest. Every command rejects when the guest ends before it has answered. */
export class Guest {
  readonly options: GuestOptions;
  /** Of the guest's eth0, for `talk`. */
  readonly ifindex: number;
  /** Resolves when the guest's TAP is gone, or the guest itself is. */
  readonly unplugged: Promise<void>;
  readonly #child: ChildProcess;
  readonly #waiters = new Map<number, Waiter>();
  #lastId = 0;

  /** Callers use `startGuest`. */
  constructor(child: ChildProcess, options: GuestOptions, ifindex: number) {
    this.#child = child;
    this.options = options;
    this.ifindex = ifindex;
    this.unplugged = new Promise((resolve) => {
      child.on("message", (message: FromGuest) => {
        if (message.type === "unplugged") resolve();
        else this.#settle(message);
      });
      child.once("exit", () => {
        for (const waiter of this.#waiters.values())
          waiter.reject(new Error(`The guest on ${options.tap} has ended`));
        this.#waiters.clear();
        resolve();
      });
    });
  }

  get ip(): string {
    return this.options.ip;
  }

  /** Its process, whose network namespace is the guest's: for `nsenter`. */
  get pid(): number {
    return this.#child.pid as number;
  }

  /** Opens a TCP listener in the guest. */
  async serveTcp(options: TcpServiceOptions): Promise<GuestTcpService> {
    const { service, port } = await this.#ask("serveTcp", options);
    return {
      port,
      nextReport: () => this.#ask("nextTcpReport", { service }),
      close: () => this.#ask("closeService", { service }),
    };
  }

  /** Connects from the guest and sends. */
  sendTcp(options: TcpSendOptions): Promise<FlowReport> {
    return this.#ask("sendTcp", options);
  }

  /** Connects from the guest and receives. */
  receiveTcp(options: TcpReceiveOptions): Promise<FlowReport> {
    return this.#ask("receiveTcp", options);
  }

  /**
   * "connected", or the code of the refusal; ETIMEDOUT when nothing answers within
   * `connectTimeoutMs`.
   */
  probeTcp(options: TcpTarget): Promise<string> {
    return this.#ask("probeTcp", options);
  }

  /** Opens a counting UDP listener in the guest. */
  async listenUdp(options: UdpServiceOptions = {}): Promise<GuestUdpService> {
    const { service, port } = await this.#ask("listenUdp", options);
    return {
      port,
      report: () => this.#ask("udpReport", { service }),
      close: () => this.#ask("closeService", { service }),
    };
  }

  /** Sends datagrams from the guest at a pace. */
  sendUdp(options: UdpSendOptions): Promise<UdpSendReport> {
    return this.#ask("sendUdp", options);
  }

  /** The round trip in milliseconds to an echoing UDP port, undefined when nothing came back. */
  async echoUdp(options: UdpEchoOptions): Promise<number | undefined> {
    return (await this.#ask("echoUdp", options)) ?? undefined;
  }

  /**
   * rtnetlink inside the guest: to take another address, a static neighbour, or to set eth0 down.
   */
  talk(messages: Message[]): Promise<(Refusal | null)[]> {
    return this.#ask("talk", { messages });
  }

  /** Ends the guest as kill -9 ends a VMM. Resolves when its process is gone. Idempotent. */
  async stop(): Promise<void> {
    await kill(this.#child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #ask<Name extends CommandName>(
    name: Name,
    options: CommandOptions<Name>,
  ): Promise<CommandResult<Name>> {
    if (!this.#child.connected)
      return Promise.reject(new Error(`The guest on ${this.options.tap} has ended`));
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiters.set(id, { resolve: (value) => resolve(value as CommandResult<Name>), reject });
      this.#child.send({ type: "command", id, name, options }, (error) => {
        if (error && this.#waiters.delete(id)) reject(error);
      });
    });
  }

  #settle(message: FromGuest): void {
    if (message.type !== "result" && message.type !== "error") return;
    const waiter = this.#waiters.get(message.id);
    this.#waiters.delete(message.id);
    if (message.type === "result") waiter?.resolve(message.value);
    else waiter?.reject(toError(message.error));
  }
}
