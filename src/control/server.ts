// The control socket of an open network: `<stateDir>/control.sock`, for root and the user of the
// process only. Keeps no process alive.

import { randomUUID } from "node:crypto";
import { renameSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { ForknetError } from "../errors.js";
import { loadAddon } from "../kernel/addon.js";
import type { Peer } from "../kernel/unix-sockets.js";
import { describePeer } from "../lock-name.js";
import { stateDirError } from "../state/disk-error.js";
import type { StateDir } from "../state/state-dir.js";
import { ownUid } from "../state/trust.js";
import { Connection, refuse } from "./connection.js";
import type { Handlers } from "./handlers.js";
import { SOCKET_NAME } from "./protocol.js";

/** Each may hold one request and one answer. */
const MOST_CONNECTIONS = 16;
/** Of visitors that are only told that there are too many. */
const MOST_REFUSALS = 64;
/** An operator's command asks at once, and on a connection of its own each time. */
const IDLE_MS = 30_000;

export class ControlServer {
  readonly #server: Server;
  readonly #state: StateDir;
  readonly #handlers: Handlers;
  readonly #idleMs: number;
  readonly #connections = new Set<Connection>();
  #refusals = 0;

  private constructor(state: StateDir, handlers: Handlers, idleMs: number) {
    this.#state = state;
    this.#handlers = handlers;
    this.#idleMs = idleMs;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#meet(socket));
    this.#server.unref();
  }

  /**
   * Replaces what a killed holder left: the caller has the process lock. Rejects with PERMISSION or
   * CONFIG when the directory does not take a socket.
   */
  static async listen(
    state: StateDir,
    handlers: Handlers,
    idleMs = IDLE_MS,
  ): Promise<ControlServer> {
    const server = new ControlServer(state, handlers, idleMs);
    const fresh = state.entry(`.${SOCKET_NAME}-${randomUUID()}`);
    try {
      await server.#listenAt(loadAddon().listenPath(fresh));
      // Replaces the old one at once.
      renameSync(fresh, state.entry(SOCKET_NAME));
      return server;
    } catch (error) {
      server.#server.close();
      rmSync(fresh, { force: true });
      throw stateDirError(state.path, error);
    }
  }

  /** Nobody new gets in; who waits for an answer still gets it. */
  close(): void {
    rmSync(this.#state.entry(SOCKET_NAME), { force: true });
    this.#server.close();
    for (const connection of this.#connections) connection.close();
  }

  #listenAt(fd: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ fd, exclusive: true }, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
  }

  #meet(socket: Socket): void {
    socket.unref();
    socket.on("error", () => socket.destroy());
    const refusal = refusalOf(socket) ?? this.#fullness();
    if (!refusal) {
      const connection = new Connection(socket, this.#handlers, this.#idleMs);
      this.#connections.add(connection);
      void connection.serve().finally(() => this.#connections.delete(connection));
    } else if (this.#refusals < MOST_REFUSALS) {
      this.#refusals += 1;
      socket.once("close", () => {
        this.#refusals -= 1;
      });
      refuse(socket, refusal);
    } else {
      socket.destroy();
    }
  }

  #fullness(): ForknetError | undefined {
    if (this.#connections.size < MOST_CONNECTIONS) return undefined;
    const text = `the agent serves ${MOST_CONNECTIONS} connections at its control socket and takes no more: try again, or end those who hold them`;
    return new ForknetError("ERR_FORKNET_CONFLICT", text, { holderPid: process.pid });
  }
}

/** The mode of the socket keeps others off; this holds should it be changed. */
function refusalOf(socket: Socket): ForknetError | undefined {
  let peer: Peer | undefined;
  try {
    // Node does not tell the descriptor otherwise.
    const { _handle: handle } = socket as Socket & { _handle?: { fd?: number } | null };
    peer = loadAddon().peerOf(handle?.fd as number);
    if (peer.uid === 0 || peer.uid === ownUid()) return undefined;
  } catch {
    // Who cannot be told is nobody's.
  }
  const text = `${describePeer(peer)} is neither root nor the agent's user`;
  return new ForknetError("ERR_FORKNET_PERMISSION", text);
}
