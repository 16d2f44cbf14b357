// The demo's handle on its agent process: ask, kill.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { AgentCommands } from "./demo-agent.js";

interface Answer {
  id: number;
  value?: unknown;
  error?: { message: string };
}

export class AgentProcess {
  readonly #child: ChildProcess = fork(fileURLToPath(new URL("./demo-agent.js", import.meta.url)));
  readonly #waiting = new Map<
    number,
    { resolve: (value: never) => void; reject: (error: Error) => void }
  >();
  #lastId = 0;

  constructor() {
    this.#child.on("message", ({ id, value, error }: Answer) => {
      const waiter = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) waiter?.reject(new Error(error.message));
      else waiter?.resolve(value as never);
    });
    this.#child.on("exit", (code, signal) => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(`the agent ended (${signal ?? code})`));
      this.#waiting.clear();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  ask<Name extends keyof AgentCommands>(
    name: Name,
    ...[argument]: Parameters<AgentCommands[Name]>
  ): ReturnType<AgentCommands[Name]> {
    const id = ++this.#lastId;
    const answer = new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, name, argument });
    });
    return answer as ReturnType<AgentCommands[Name]>;
  }

  /** Resolves when the process is gone. */
  async kill(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.kill(signal);
    await gone;
  }
}
