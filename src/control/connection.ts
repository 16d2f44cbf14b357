// One visitor of the control socket: his requests one after the other, each answered before the next
// is read. Whoever says nothing, never ends a line, or does not read his answers is left.

import type { Socket } from "node:net";
import { configError, ForknetError } from "../errors.js";
import type { Handlers } from "./handlers.js";
import {
  type Answer,
  LineReader,
  LONGEST_REQUEST_BYTES,
  type MethodName,
  PROTOCOL,
  toPlainError,
} from "./protocol.js";

/** How long a refused visitor may still send what nobody reads: cut off, he would not see why. */
const LINGER_MS = 1000;

export class Connection {
  readonly #socket: Socket;
  readonly #handlers: Handlers;
  /** For a whole request to come, and for an answer to be taken. */
  readonly #idleMs: number;
  #isBusy = false;
  #isClosing = false;

  constructor(socket: Socket, handlers: Handlers, idleMs: number) {
    this.#socket = socket;
    this.#handlers = handlers;
    this.#idleMs = idleMs;
  }

  /** Resolves when nothing more will be answered. */
  async serve(): Promise<void> {
    try {
      for await (const line of this.#lines()) {
        this.#isBusy = true;
        const answer = await answerTo(line, this.#handlers);
        await this.#write(answer);
        this.#isBusy = false;
        // Who does not keep to the protocol is told once.
        if (answer.id === 0 || this.#isClosing) break;
      }
      part(this.#socket);
    } catch (error) {
      if (error instanceof RangeError) refuse(this.#socket, tooLong(error));
      // A visitor that vanishes is no concern of the agent's.
      else this.#socket.destroy();
    }
  }

  /** Who waits for an answer still gets it. */
  close(): void {
    this.#isClosing = true;
    if (!this.#isBusy) this.#socket.destroy();
  }

  /** A visitor may end his side before he is answered. */
  async *#lines(): AsyncGenerator<string> {
    const reader = new LineReader(LONGEST_REQUEST_BYTES);
    let timer = this.#leaveLater();
    try {
      for await (const chunk of this.#socket.iterator({ destroyOnReturn: false })) {
        for (const line of reader.push(chunk as Buffer)) {
          clearTimeout(timer);
          yield line;
          timer = this.#leaveLater();
        }
      }
      const rest = reader.rest();
      clearTimeout(timer);
      if (rest !== "") yield rest;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves when the kernel has taken it, or the connection is gone. */
  #write(answer: Answer): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#leaveLater();
      this.#socket.write(`${JSON.stringify(answer)}\n`, () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #leaveLater(): NodeJS.Timeout {
    return setTimeout(() => this.#socket.destroy(), this.#idleMs).unref();
  }
}

/** Says why, under id 0, and ends the connection. */
export function refuse(socket: Socket, error: ForknetError): void {
  const refusal: Answer = { forknet: PROTOCOL, id: 0, error: toPlainError(error) };
  socket.write(`${JSON.stringify(refusal)}\n`);
  part(socket);
}

/** Ends this side; the other has a moment to do the same. */
function part(socket: Socket): void {
  const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
  socket.once("close", () => clearTimeout(timer));
  socket.end();
  socket.resume();
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
