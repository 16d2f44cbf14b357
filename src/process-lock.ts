// One process per network. An abstract unix socket named after the bridge belongs to the network
// namespace; a lock file belongs to the state directory. Both end with the process, however it
// ends.

import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { errorFromFailure, ForknetError } from "./errors.js";
import { loadAddon } from "./kernel/addon.js";
import { failureOf } from "./kernel/kernel.js";
import { makeStateDir, stateDirError } from "./lease/state-dir.js";

type Attempt = { fd: number } | { holder: number };

/** How long a holder may take to say who it is; one of another pid namespace never does. */
const MOST_TRIES = 20;
const RETRY_MS = 5;

export class ProcessLock {
  readonly #server: Server;
  readonly #fileFd: number;

  private constructor(server: Server, fileFd: number) {
    this.#server = server;
    this.#fileFd = fileFd;
  }

  /**
   * Throws ERR_FORKNET_CONFLICT with the holder's pid when another process, or this one, has the
   * network open.
   */
  static async take(bridge: string, stateDir: string): Promise<ProcessLock> {
    // First: without the addon nothing may be made.
    const addon = loadAddon();
    makeStateDir(stateDir);
    const file = await taken(() => lockFile(stateDir));
    if ("holder" in file) throw held(`the state directory ${stateDir}`, file.holder);
    let socket: Attempt;
    try {
      socket = await taken(() => lockAbstract(lockName(bridge)));
      if ("holder" in socket) throw held(`the network on ${bridge}`, socket.holder);
    } catch (error) {
      addon.closeFd(file.fd);
      throw error;
    }
    // Whoever finds the lock taken connects to learn our pid, and an operator's command where the
    // control socket is. Accepting keeps the queue of such visits empty.
    const holder = `${JSON.stringify({ stateDir })}\n`;
    const server = createServer((visitor) => {
      visitor.on("error", () => visitor.destroy());
      visitor.end(holder, () => visitor.destroy());
    });
    server.listen({ fd: socket.fd });
    server.unref();
    return new ProcessLock(server, file.fd);
  }

  async release(): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
    loadAddon().closeFd(this.#fileFd);
  }
}

/** The abstract socket that whoever has the network on a bridge listens at. */
export function lockName(bridge: string): string {
  return `forknet/${bridge}`;
}

/**
 * A holder that does not exist is one that was killed, whose successor has the lock and has not yet
 * said who it is.
 */
async function taken(lock: () => Attempt): Promise<Attempt> {
  for (let tries = 1; ; tries++) {
    const attempt = lock();
    if ("fd" in attempt || isAlive(attempt.holder) || tries === MOST_TRIES) return attempt;
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

// Every refusal here is about the directory: saying which capability is missing would mislead.
function lockFile(stateDir: string): Attempt {
  try {
    return loadAddon().lockFile(join(stateDir, "lock"));
  } catch (error) {
    throw stateDirError(stateDir, error);
  }
}

function lockAbstract(name: string): Attempt {
  try {
    return loadAddon().lockAbstract(name);
  } catch (error) {
    throw errorFromFailure(failureOf(error, "lock", ""));
  }
}
