// Visitors of a control socket that speak for themselves: what they send is sent as it is.

import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished } from "vitest";
import type { NetworkOptions } from "../../dist/index.js";
import { patiently } from "./patience.js";

export interface Answer {
  forknet: number;
  id: number;
  // biome-ignore lint/suspicious/noExplicitAny: each test says what it expects of it.
  result?: any;
  error?: { code: string; message: string };
}

export const pathOf = ({ stateDir }: NetworkOptions) => join(stateDir as string, "control.sock");

/** A connection that collects answers until the agent ends it. */
export class Visitor {
  readonly socket: Socket;
  #text = "";
  isEnded = false;

  constructor(options: NetworkOptions) {
    this.socket = connect({ path: pathOf(options) });
    this.socket.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text;
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.isEnded = true;
    });
    onTestFinished(() => void this.socket.destroy());
  }

  /** Sends bytes as they are, and resolves with the answers when there are so many in all. */
  async send(bytes: string, answers: number): Promise<Answer[]> {
    this.socket.write(bytes);
    await expect.poll(() => this.#lines().length).toBe(answers);
    return this.#lines().map((line) => JSON.parse(line) as Answer);
  }

  async ended(): Promise<void> {
    await expect.poll(() => this.isEnded, { timeout: patiently(10_000) }).toBe(true);
  }

  #lines(): string[] {
    return this.#text.split("\n").slice(0, -1);
  }
}

export const ask = (id: number, method: string, params: object = {}) =>
  `${JSON.stringify({ forknet: 1, id, method, params })}\n`;

export async function answerOf(options: NetworkOptions, method: string, params: object = {}) {
  const [answer] = await new Visitor(options).send(ask(1, method, params), 1);
  return answer as Answer;
}
