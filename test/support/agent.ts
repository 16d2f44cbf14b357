// The parent's side of a host agent in another process, which a test can kill at any moment.
// What the agent does is in agent-process.mjs.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { Allocation, AllocationRequest, Network, NetworkOptions } from "../../dist/index.js";

const PROGRAM = fileURLToPath(new URL("./agent-process.mjs", import.meta.url));

/** What crosses the process boundary: everything but promises. */
export type PlainAllocation = Omit<Allocation, "shaped">;

interface Answer {
  id: number;
  value?: unknown;
  error?: { message: string; code?: string };
}

/** A launcher that gives all capabilities but these. */
export function without(...capabilities: string[]): string[] {
  const dropped = capabilities.map((capability) => `-${capability}`).join(",");
  return ["setpriv", `--bounding-set=${dropped}`, `--inh-caps=${dropped}`];
}

/** Runs in the network namespace of the test. Killed when the test has finished. */
export class Agent {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<
    number,
    { resolve: (value: unknown) => void; reject: (error: Error) => void }
  >();
  readonly #exited: Promise<unknown>;
  #calls = 0;

  /** `launcher` is a command that runs the rest of its arguments, such as setpriv. */
  constructor(launcher: readonly string[] = []) {
    const [command, ...args] = [...launcher, process.execPath, PROGRAM];
    this.#child = spawn(command as string, args, {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#exited = once(this.#child, "exit");
    this.#child.on("message", (message) => this.#answered(message as Answer));
    this.#child.once("exit", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("The agent has ended"));
    });
    onTestFinished(() => this.kill());
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** Opens the network in the agent; its allocations as the agent found them. */
  async open(options: NetworkOptions): Promise<PlainAllocation[]> {
    return (await this.#ask("open", [options])) as PlainAllocation[];
  }

  /** The same with a kernel that dieAfter can use. */
  async openLethal(options: NetworkOptions): Promise<PlainAllocation[]> {
    return (await this.#ask("openLethal", [options])) as PlainAllocation[];
  }

  /** From now on the agent dies by SIGKILL when so many kernel operations are done. */
  async dieAfter(operations: number): Promise<void> {
    await this.#ask("dieAfter", [operations]);
  }

  /** Calls a method of the agent's network; rejects with the fields of the agent's error. */
  async call(method: keyof Network & string, ...args: unknown[]): Promise<unknown> {
    return this.#ask(method, args);
  }

  async fork(request: AllocationRequest): Promise<PlainAllocation> {
    return (await this.#ask("createAllocation", [request])) as PlainAllocation;
  }

  /**
   * The agent dies after a fork from a warm slot armed it, before its limits were sent to the
   * kernel.
   */
  async forkAndDie(request: AllocationRequest): Promise<void> {
    this.#ask("forkAndDie", [request]).catch(() => {});
    await this.#exited;
  }

  /** kill -9. Resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }

  /** The agent loses its parent. Resolves when it has ended, as it does with nothing left to do. */
  async disconnected(): Promise<void> {
    this.#child.disconnect();
    await this.#exited;
  }

  #ask(method: string, args: unknown[]): Promise<unknown> {
    this.#calls += 1;
    const id = this.#calls;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, method, args }, (error) => error && reject(error));
    });
  }

  #answered({ id, value, error }: Answer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) waiting?.reject(Object.assign(new Error(error.message), error));
    else waiting?.resolve(value);
  }
}
