// One process per network. An abstract unix socket named after the bridge belongs to the network
// namespace; a lock file belongs to the state directory. Both end with the process, however it
// ends.

import { createServer, type Server } from "node:net";
import { setTimeout } from "node:timers/promises";
import { errorFromFailure, ForknetError } from "./errors.js";
import { loadAddon } from "./kernel/addon.js";
import { failureOf } from "./kernel/kernel.js";
import type { StateDir } from "./state/state-dir.js";

type Attempt = { fd: number } | { holder: number };

/** How long a holder may take to say who it is; one of another pid namespace never does. */
const MOST_TRIES = 20;
const RETRY_MS = 5;

export class ProcessLock {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /**
   * Locks the state directory for as long as that is open, then the bridge. Throws
   * ERR_FORKNET_CONFLICT with the holder's pid when another process, or this one, has the network
   * open.
   */
  static async take(bridge: string, state: StateDir): Promise<ProcessLock> {
    const file = await taken(() => state.lock());
    if (file !== undefined) throw held(`the state directory ${state.path}`, file);
    let socket = -1;
    const holder = await taken(() => {
      const attempt = lockAbstract(lockName(bridge));
      if ("holder" in attempt) return attempt.holder;
      socket = attempt.fd;
      return undefined;
    });
    if (holder !== undefined) throw held(`the network on ${bridge}`, holder);
    // Whoever finds the lock taken connects to learn our pid, and an operator's command where the
    // control socket is. Accepting keeps the queue of such visits empty.
    const greeting = `${JSON.stringify({ stateDir: state.path })}\n`;
    const server = createServer((visitor) => {
      visitor.on("error", () => visitor.destroy());
      visitor.end(greeting, () => visitor.destroy());
    });
    server.listen({ fd: socket });
    server.unref();
    return new ProcessLock(server);
  }

  async release(): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** The abstract socket that whoever has the network on a bridge listens at. */
export function lockName(bridge: string): string {
  return `forknet/${bridge}`;
}

/**
 * Undefined when the lock is taken, else its holder. One that does not exist is one that was killed,
 * whose successor has the lock and has not yet said who it is.
 */
async function taken(lock: () => number | undefined): Promise<number | undefined> {
  for (let tries = 1; ; tries++) {
    const holder = lock();
    if (holder === undefined || isAlive(holder) || tries === MOST_TRIES) return holder;
    await setTimeout(RETRY_MS);
  }
}

function isAlive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function held(what: string, holder: number): ForknetError {
  const who = holder === process.pid ? "this process" : `process ${holder || "unknown"}`;
  return new ForknetError("ERR_FORKNET_CONFLICT", `${what} is held by ${who}`, {
    holderPid: holder,
  });
}

function lockAbstract(name: string): Attempt {
  try {
    const attempt = loadAddon().lockAbstract(name);
    return "fd" in attempt ? attempt : { holder: attempt.holder?.pid ?? 0 };
  } catch (error) {
    throw errorFromFailure(failureOf(error, "lock", ""));
  }
}
