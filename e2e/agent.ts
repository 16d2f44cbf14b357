// The example agent as a process, and what is asked of it over its unix socket.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Allocation } from "../dist/index.js";
import { IMAGE } from "./place.js";

const AGENT = fileURLToPath(new URL("../examples/agent/agent.mjs", import.meta.url));
const POLL_MS = 20;

/** A network beside that of the other scenarios. */
const BRIDGE = "vmbr1";
const SUBNET = "10.101.0.0/16";

export type Plain = Omit<Allocation, "shaped">;

/** Milliseconds from the call. */
export interface Times {
  allocation: Pick<Plain, "instanceId">;
  networkMs: number;
  shapedMs: number;
  restoredMs: number;
  answeredMs: number;
}

export type ForkTimes = Times & { allocation: Plain };

export class Agent {
  readonly #dir: string;
  readonly #process: ChildProcess;
  #spans = "";

  private constructor(dir: string, child: ChildProcess) {
    this.#dir = dir;
    this.#process = child;
    child.stderr?.on("data", (text: Buffer) => {
      this.#spans += text.toString();
    });
  }

  /** In the caller's namespace. Resolves when it listens. */
  static async start(): Promise<Agent> {
    const dir = mkdtempSync(join(tmpdir(), "forknet-agent-"));
    const options = {
      socket: join(dir, "http.sock"),
      dir,
      bridge: BRIDGE,
      subnet: SUBNET,
      kernel: join(IMAGE, "vmlinuz"),
      initramfs: join(IMAGE, "initramfs"),
    };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
    const child = spawn(process.execPath, [AGENT, ...args], {
      stdio: ["ignore", "inherit", "pipe"],
    });
    const agent = new Agent(dir, child);
    while (!existsSync(options.socket)) {
      if (child.exitCode !== null) throw new Error(`the agent ended: ${agent.#spans}`);
      await sleep(POLL_MS);
    }
    return agent;
  }

  /** The answer as data; throws the agent's refusal. */
  async ask<T>(method: string, path: string, body?: object): Promise<T> {
    const headers = body && { "content-type": "application/json" };
    const socketPath = join(this.#dir, "http.sock");
    const call = request({ socketPath, method, path, ...(headers && { headers }) });
    call.end(body && JSON.stringify(body));
    const [response] = await once(call, "response");
    const value = (await json(response)) as T & { message?: string };
    if (response.statusCode !== 200) throw new Error(`${method} ${path}: ${value?.message}`);
    return value;
  }

  run(id: string, command: string): Promise<string> {
    return this.ask("POST", `/vms/${id}/run`, { command });
  }

  /** The names of the spans so far, and how many of each. */
  spans(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const line of this.#spans.split("\n")) {
      if (!line.startsWith("{")) continue;
      const { name } = JSON.parse(line) as { name: string };
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return counts;
  }

  /** Resolves with its exit code when machines and network are gone. */
  async stop(): Promise<number | null> {
    if (this.#process.exitCode === null) {
      const exited = once(this.#process, "exit");
      this.#process.kill("SIGTERM");
      await exited;
    }
    rmSync(this.#dir, { recursive: true, force: true });
    return this.#process.exitCode;
  }
}
