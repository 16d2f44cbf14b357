// The control socket of an open network: `<stateDir>/control.sock`, for the owner of the process
// only. Answers one request at a time on each connection, trusts nothing it reads, and keeps no
// process alive.

import { randomUUID } from "node:crypto";
import { renameSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { configError, ForknetError } from "../errors.js";
import { loadAddon } from "../kernel/addon.js";
import { stateDirError } from "../state/disk-error.js";
import type { StateDir } from "../state/state-dir.js";
import type { Handlers } from "./handlers.js";
import {
  type Answer,
  LineReader,
  LONGEST_REQUEST_BYTES,
  type MethodName,
  PROTOCOL,
  SOCKET_NAME,
  toPlainError,
} from "./protocol.js";

/** Each may hold one request and one answer. */
const MOST_CONNECTIONS = 16;

export class ControlServer {
  readonly #server: Server;
  readonly #state: StateDir;
  readonly #sockets = new Set<Socket>();
  /** Connections whose request is being worked on. */
  readonly #busy = new Set<Socket>();
  #closing = false;

  private constructor(state: StateDir, handlers: Handlers) {
    this.#state = state;
    this.#server = createServer((socket) => this.#serve(socket, handlers));
    this.#server.maxConnections = MOST_CONNECTIONS;
    this.#server.unref();
  }

  /**
   * Replaces what a killed holder left: the caller has the process lock. Rejects with PERMISSION or
   * CONFIG when the directory does not take a socket.
   */
  static async listen(state: StateDir, handlers: Handlers): Promise<ControlServer> {
    const server = new ControlServer(state, handlers);
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
    this.#closing = true;
    rmSync(this.#state.entry(SOCKET_NAME), { force: true });
    this.#server.close();
    for (const socket of this.#sockets) if (!this.#busy.has(socket)) socket.destroy();
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

  #serve(socket: Socket, handlers: Handlers): void {
    this.#sockets.add(socket);
    socket.unref();
    socket.on("close", () => this.#sockets.delete(socket));
    // A visitor that vanishes is no concern of the agent's.
    socket.on("error", () => socket.destroy());
    const reader = new LineReader(LONGEST_REQUEST_BYTES);
    const waiting: string[] = [];
    const work = async () => {
      // What comes meanwhile waits in the kernel, and its sender with it.
      socket.pause();
      this.#busy.add(socket);
      for (let line = waiting.shift(); line !== undefined; line = waiting.shift()) {
        const answer = await answerTo(line, handlers);
        if (socket.destroyed) break;
        socket.write(`${JSON.stringify(answer)}\n`);
        // Who does not keep to the protocol is told once.
        if (answer.id === 0) waiting.length = 0;
        if (answer.id === 0 || this.#closing) socket.end(() => socket.destroy());
      }
      this.#busy.delete(socket);
      socket.resume();
    };
    socket.on("data", (chunk: Buffer) => {
      try {
        waiting.push(...reader.push(chunk));
      } catch (error) {
        const refusal = { forknet: PROTOCOL, id: 0, error: toPlainError(tooLong(error)) };
        socket.end(`${JSON.stringify(refusal)}\n`, () => socket.destroy());
        return;
      }
      if (waiting.length > 0 && !this.#busy.has(socket)) void work();
    });
  }
}

/** Id 0 tells that the line was no request; after it the connection ends. */
async function answerTo(line: string, handlers: Handlers): Promise<Answer> {
  let id = 0;
  try {
    const request = readRequest(line);
    const { method, params } = request;
    id = request.id;
    if (!Object.hasOwn(handlers, method))
      throw configError("method", `one of ${Object.keys(handlers).join(", ")}`, method);
    return { forknet: PROTOCOL, id, result: await handlers[method](params as never) };
  } catch (error) {
    return { forknet: PROTOCOL, id, error: toPlainError(error) };
  }
}

function readRequest(line: string): { id: number; method: MethodName; params: object } {
  const { forknet, id, method, params = {} } = parse(line);
  if (forknet !== PROTOCOL) {
    const text = `this agent speaks version ${PROTOCOL} of the control protocol, not ${String(forknet)}`;
    throw new ForknetError("ERR_FORKNET_UNSUPPORTED", text);
  }
  if (!Number.isSafeInteger(id) || (id as number) < 1)
    throw configError("id", "a positive whole number", id);
  if (typeof params !== "object" || params === null || Array.isArray(params))
    throw configError("params", "an object", params);
  return { id: id as number, method: method as MethodName, params };
}

function parse(line: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw configError("a request", "one JSON object on a line", line);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw configError("a request", "one JSON object on a line", value);
  return value as Record<string, unknown>;
}

function tooLong(error: unknown): ForknetError {
  const text = `Expected a request of at most ${LONGEST_REQUEST_BYTES} bytes: ${(error as Error).message}`;
  return new ForknetError("ERR_FORKNET_CONFIG", text);
}
