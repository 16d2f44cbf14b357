// One process per network. An abstract unix socket named after the bridge belongs to the network
// namespace; a lock file belongs to the state directory. Both end with the process, however it
// ends.

import { createServer, type Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { errorFromFailure, ForknetError } from "./errors.js";
import { publish } from "./events/events.js";
import { loadAddon } from "./kernel/addon.js";
import { failureOf } from "./kernel/kernel.js";
import type { Peer } from "./kernel/unix-sockets.js";
import { describePeer, lockName, trustedHolders } from "./lock-name.js";
import type { StateDir } from "./state/state-dir.js";

/** A descriptor, or who has the lock; undefined for one that does not say who it is. */
type Attempt = { fd: number } | { holder: Peer | undefined };

/** How long a holder may take to say who it is; one of another pid namespace never does. */
const MOST_TRIES = 20;
const RETRY_MS = 5;
/** How often a name that somebody else has taken is tried again. */
const REGAIN_MS = 1000;

export class ProcessLock {
  readonly #bridge: string;
  readonly #greeting: string;
  #server: Server | undefined;
  /** Who has the name and does not count, as it was published. */
  #told: string | undefined;
  #regaining: NodeJS.Timeout | undefined;

  private constructor(bridge: string, state: StateDir) {
    this.#bridge = bridge;
    this.#greeting = `${JSON.stringify({ stateDir: state.path })}\n`;
  }

  /**
   * Locks the state directory for as long as that is open, then the name of the bridge. Throws
   * ERR_FORKNET_CONFLICT with the holder's pid when another process, or this one, has the network
   * open. A name that somebody has who is not trusted counts for nothing: that is an event, and the
   * lock of the directory alone decides until the name is free.
   */
  static async take(bridge: string, state: StateDir): Promise<ProcessLock> {
    const holder = await lockDirectory(state);
    if (holder !== undefined) throw held(`the state directory ${state.path}`, holder);
    const lock = new ProcessLock(bridge, state);
    const trusted = trustedHolders(bridge, state.path);
    const attempt = await lockBridge(bridge, trusted);
    if ("fd" in attempt) lock.#serve(attempt.fd);
    else if (attempt.holder && trusted.has(attempt.holder.uid))
      throw held(`the network on ${bridge}`, attempt.holder.pid);
    else lock.#doWithout(attempt.holder);
    return lock;
  }

  async release(): Promise<void> {
    clearInterval(this.#regaining);
    const server = this.#server;
    if (server) await new Promise((resolve) => server.close(resolve));
  }

  /**
   * Whoever finds the lock taken connects to learn our pid, and an operator's command where the
   * control socket is. Accepting keeps the queue of such visits empty.
   */
  #serve(fd: number): void {
    this.#server = createServer((visitor) => {
      visitor.on("error", () => visitor.destroy());
      visitor.end(this.#greeting, () => visitor.destroy());
    });
    this.#server.listen({ fd });
    this.#server.unref();
  }

  #doWithout(stranger: Peer | undefined): void {
    this.#tell(stranger);
    this.#regaining = setInterval(() => this.#regain(), REGAIN_MS).unref();
  }

  #regain(): void {
    let attempt: Attempt;
    try {
      attempt = lockAbstract(lockName(this.#bridge));
    } catch {
      // Out of files: there is a next time.
      return;
    }
    if ("holder" in attempt) {
      this.#tell(attempt.holder);
    } else {
      clearInterval(this.#regaining);
      this.#serve(attempt.fd);
    }
  }

  #tell(stranger: Peer | undefined): void {
    const who = describePeer(stranger);
    if (this.#told === who) return;
    this.#told = who;
    const { pid = 0, uid } = stranger ?? {};
    const name = `@${lockName(this.#bridge)}`;
    publish("forknet:name-taken", { bridge: this.#bridge, name, pid, uid });
  }
}

/** Undefined when the lock is taken, else the pid of its holder. */
async function lockDirectory(state: StateDir): Promise<number | undefined> {
  const isSure = (holder: number | undefined) => holder === undefined || isAlive(holder);
  return patiently(() => state.lock(), isSure);
}

async function lockBridge(bridge: string, trusted: ReadonlySet<number>): Promise<Attempt> {
  return patiently(
    () => lockAbstract(lockName(bridge)),
    (attempt) => {
      if ("fd" in attempt) return true;
      const { holder } = attempt;
      return holder !== undefined && (!trusted.has(holder.uid) || isAlive(holder.pid));
    },
  );
}

/**
 * A holder that does not exist is one that was killed, whose successor has the lock and has not yet
 * said who it is.
 */
async function patiently<T>(attempt: () => T, isSure: (result: T) => boolean): Promise<T> {
  for (let tries = 1; ; tries++) {
    const result = attempt();
    if (isSure(result) || tries === MOST_TRIES) return result;
    await sleep(RETRY_MS);
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
    return loadAddon().lockAbstract(name);
  } catch (error) {
    throw errorFromFailure(failureOf(error, "lock", ""));
  }
}
