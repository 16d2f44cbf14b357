// The other end of the control socket: one question at a time, each on a connection of its own and
// with a time limit.

import { Socket } from "node:net";
import { join } from "node:path";
import { ForknetError } from "../errors.js";
import { loadAddon } from "../kernel/addon.js";
import type { Peer } from "../kernel/unix-sockets.js";
import { describePeer } from "../lock-name.js";
import type { Directory } from "../state/directory.js";
import { ownUid } from "../state/trust.js";
import {
  type Answer,
  fromPlainError,
  LineReader,
  LONGEST_ANSWER_BYTES,
  type MethodName,
  type Methods,
  PROTOCOL,
  SOCKET_NAME,
} from "./protocol.js";

/** The agent took the connection and then said nothing: it hangs, or what it does takes longer. */
export class NoAnswer extends Error {}

export class ControlClient {
  /** Who serves the socket. */
  readonly peer: Peer;
  readonly #directory: Directory;
  #socket: Socket | undefined;
  #lastId = 0;

  private constructor(directory: Directory, { socket, peer }: ReturnType<typeof connectTo>) {
    this.#directory = directory;
    this.#socket = socket;
    this.peer = peer;
  }

  /**
   * Throws Node's own error: ENOENT and ECONNREFUSED mean that nobody is there, EAGAIN that too many
   * wait. PERMISSION when somebody listens who is not trusted.
   */
  static connect(directory: Directory): ControlClient {
    return new ControlClient(directory, connectTo(directory));
  }

  /** Rejects with the agent's error, CONFLICT when it goes away, and NoAnswer. */
  async ask<Name extends MethodName>(
    method: Name,
    params: Methods[Name]["params"],
    timeoutMs: number,
  ): Promise<Methods[Name]["result"]> {
    const id = ++this.#lastId;
    const request = `${JSON.stringify({ forknet: PROTOCOL, id, method, params })}\n`;
    // The agent ends connections that nobody uses.
    const socket = this.#socket?.destroyed === false ? this.#socket : this.#connectAgain();
    this.#socket = undefined;
    const answer = await answerFrom(socket, request, timeoutMs).finally(() => socket.destroy());
    if (answer?.forknet !== PROTOCOL) {
      const text = `the agent speaks version ${String(answer?.forknet)} of the control protocol, this command ${PROTOCOL}`;
      throw new ForknetError("ERR_FORKNET_UNSUPPORTED", text);
    }
    if (answer.error) throw fromPlainError(answer.error);
    if (answer.id !== id) throw strange(`answer ${String(answer.id)} to question ${id}`);
    return answer.result as Methods[Name]["result"];
  }

  close(): void {
    this.#socket?.destroy();
  }

  /** What was there a moment ago and is not any more has gone. */
  #connectAgain(): Socket {
    try {
      return connectTo(this.#directory).socket;
    } catch (error) {
      throw error instanceof ForknetError ? error : gone((error as Error).message);
    }
  }
}

function connectTo(directory: Directory): { socket: Socket; peer: Peer } {
  const { fd, ...peer } = loadAddon().connectPath(directory.entry(SOCKET_NAME));
  if (!new Set([0, ownUid(), directory.owner?.uid]).has(peer.uid)) {
    loadAddon().closeFd(fd);
    throw servedBy(directory, peer, "who is not trusted");
  }
  const socket = new Socket({ fd });
  // It may go before anything was asked.
  socket.on("error", () => socket.destroy());
  return { socket, peer };
}

/** What is at the control socket is not the agent, and not believed. */
export function servedBy(directory: Directory, peer: Peer, why: string): ForknetError {
  const path = join(directory.path, SOCKET_NAME);
  const text = `${path} is served by ${describePeer(peer)}, ${why}`;
  return new ForknetError("ERR_FORKNET_PERMISSION", text);
}

/** The first line that comes, as it is. */
function answerFrom(socket: Socket, request: string, timeoutMs: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const reader = new LineReader(LONGEST_ANSWER_BYTES);
    const timer = setTimeout(() => reject(new NoAnswer()), timeoutMs);
    socket.on("data", (chunk: Buffer) => {
      try {
        const [line] = reader.push(chunk);
        if (line !== undefined) resolve(JSON.parse(line, printable) as Answer);
      } catch (error) {
        reject(strange((error as Error).message));
      }
    });
    socket.on("error", (error) => reject(gone(error.message)));
    socket.on("close", () => {
      clearTimeout(timer);
      reject(gone("it closed the connection"));
    });
    socket.write(request);
  });
}

function strange(what: string): ForknetError {
  return new ForknetError("ERR_FORKNET_UNSUPPORTED", `the agent's answer makes no sense: ${what}`);
}

function gone(why: string): ForknetError {
  return new ForknetError("ERR_FORKNET_CONFLICT", `the agent went away before it answered: ${why}`);
}

/** An agent's words go to a terminal: what would steer it is taken out. */
function printable(_: string, value: unknown): unknown {
  return typeof value === "string" ? value.replace(/(?!\n)\p{Cc}/gu, "?") : value;
}
