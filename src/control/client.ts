// The other end of the control socket: one question at a time, each with a time limit.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { ForknetError } from "../errors.js";
import {
  type Answer,
  fromPlainError,
  LineReader,
  LONGEST_ANSWER_BYTES,
  type MethodName,
  type Methods,
  PROTOCOL,
} from "./protocol.js";

/** The agent took the connection and then said nothing: it hangs, or what it does takes longer. */
export class NoAnswer extends Error {}

export class ControlClient {
  readonly #socket: Socket;
  #lastId = 0;
  #settle: ((answer: Answer | Error) => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const reader = new LineReader(LONGEST_ANSWER_BYTES);
    socket.on("data", (chunk: Buffer) => {
      try {
        for (const line of reader.push(chunk))
          this.#settle?.(JSON.parse(line, printable) as Answer);
      } catch (error) {
        this.#settle?.(strange((error as Error).message));
      }
    });
    socket.on("error", (error) => this.#settle?.(gone(error.message)));
    socket.on("close", () => this.#settle?.(gone("it closed the connection")));
  }

  /** Rejects with Node's own error: ENOENT and ECONNREFUSED mean that nobody is there. */
  static async connect(path: string): Promise<ControlClient> {
    const socket = connect({ path });
    await once(socket, "connect");
    return new ControlClient(socket);
  }

  /** Rejects with the agent's error, CONFLICT when it goes away, and NoAnswer. */
  async ask<Name extends MethodName>(
    method: Name,
    params: Methods[Name]["params"],
    timeoutMs: number,
  ): Promise<Methods[Name]["result"]> {
    const id = ++this.#lastId;
    const answered = new Promise<Answer | Error>((resolve) => {
      this.#settle = resolve;
    });
    const timer = setTimeout(() => this.#settle?.(new NoAnswer()), timeoutMs);
    this.#socket.write(`${JSON.stringify({ forknet: PROTOCOL, id, method, params })}\n`);
    const answer = await answered;
    clearTimeout(timer);
    this.#settle = undefined;
    if (answer instanceof Error) throw answer;
    if (answer?.forknet !== PROTOCOL) {
      const text = `the agent speaks version ${String(answer?.forknet)} of the control protocol, this command ${PROTOCOL}`;
      throw new ForknetError("ERR_FORKNET_UNSUPPORTED", text);
    }
    if (answer.error) throw fromPlainError(answer.error);
    if (answer.id !== id) throw strange(`answer ${String(answer.id)} to question ${id}`);
    return answer.result as Methods[Name]["result"];
  }

  close(): void {
    this.#socket.destroy();
  }
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
