// A TCP connection that runs for as long as a test looks at it: its goodput in any window, and
// whether it broke. What arrived is read from the host's socket in the kernel, since the far end is
// in another process.

import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";
import type { Guest } from "../../dist/stand-in/guest.js";
import { TcpService } from "../../dist/stand-in/tcp-service.js";
import { patiently } from "./patience.js";

const START_MS = 5000;
const POLL_MS = 10;

export class LongFlow {
  readonly #service: TcpService;
  readonly #counter: RegExp;
  #isRunning = true;

  private constructor(
    service: TcpService,
    direction: "upload" | "download",
    ended: Promise<unknown>,
  ) {
    this.#service = service;
    this.#counter = direction === "upload" ? /bytes_received:(\d+)/ : /bytes_acked:(\d+)/;
    const isOver = () => {
      this.#isRunning = false;
    };
    ended.then(isOver, isOver);
    onTestFinished(() => this.stop());
  }

  /** Resolves when the first bytes have arrived. */
  static async start(
    guest: Guest,
    hostIp: string,
    direction: "upload" | "download",
  ): Promise<LongFlow> {
    const service = await TcpService.listen({
      host: hostIp,
      role: direction === "upload" ? "sink" : "source",
    });
    const target = { host: hostIp, port: service.port };
    const ended = direction === "upload" ? guest.sendTcp(target) : guest.receiveTcp(target);
    const flow = new LongFlow(service, direction, ended);
    const deadline = performance.now() + patiently(START_MS);
    while (flow.#bytes() === undefined) {
      if (performance.now() > deadline)
        throw new Error(`The ${direction} of ${guest.ip} does not start`);
      await sleep(POLL_MS);
    }
    return flow;
  }

  /** The connection has not ended. */
  get isRunning(): boolean {
    return this.#isRunning && this.#bytes() !== undefined;
  }

  /** Waits without counting. */
  async settle(durationMs: number): Promise<void> {
    await sleep(durationMs);
  }

  /**
   * Bits per second that get through in the next `durationMs`. Throws when the connection is over.
   */
  async over(durationMs: number): Promise<{ bitsPerSecond: number }> {
    const start = this.#sample();
    await sleep(durationMs);
    const end = this.#sample();
    return {
      bitsPerSecond: ((end.bytes - start.bytes) * 8) / (Number(end.atNs - start.atNs) / 1e9),
    };
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    await this.#service.close();
  }

  #sample(): { bytes: number; atNs: bigint } {
    const bytes = this.#bytes();
    if (bytes === undefined) throw new Error("The connection has ended");
    return { bytes, atNs: process.hrtime.bigint() };
  }

  #bytes(): number | undefined {
    const text = execFileSync(
      "ss",
      ["-tinH", "state", "established", `sport = :${this.#service.port}`],
      {
        encoding: "utf8",
      },
    );
    const match = this.#counter.exec(text);
    return match ? Number(match[1]) : undefined;
  }
}
