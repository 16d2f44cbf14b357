// The parent's side of a process with other ids and no capability, which opens TAPs: a VMM, or
// somebody who should not. What it does is in tap-opener.mjs.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

const PROGRAM = fileURLToPath(new URL("./tap-opener.mjs", import.meta.url));

/** `gid` is the uid's number where it is left out. */
export interface Ids {
  uid: number;
  gid?: number;
  groups?: number[];
}

/** Runs in the network namespace of the test; killed when the test has finished. */
export class TapOpener {
  readonly #child: ChildProcess = fork(PROGRAM, { execArgv: [] });

  private constructor() {
    onTestFinished(async () => {
      const ended = once(this.#child, "exit");
      this.#child.kill("SIGKILL");
      await ended;
    });
  }

  static async as(ids: Ids): Promise<TapOpener> {
    const opener = new TapOpener();
    await opener.#ask("become", ids);
    return opener;
  }

  /** The TAP's ifindex. Rejects with the kernel's code: EPERM, EBUSY, ... */
  async open(name: string, options: { multiQueue?: boolean } = {}): Promise<number> {
    return (await this.#ask("open", { name, ...options })) as number;
  }

  /** "opened" when it may have the TAP, and then closes it again; otherwise the kernel's code. */
  async tries(name: string, options: { multiQueue?: boolean } = {}): Promise<string> {
    try {
      await this.open(name, options);
      await this.close();
      return "opened";
    } catch (error) {
      return (error as { code: string }).code;
    }
  }

  /** Closes all that it has open. */
  async close(): Promise<void> {
    await this.#ask("close");
  }

  /** Through the TAP that it opened last. */
  async send(frame: Uint8Array): Promise<void> {
    await this.#ask("send", Buffer.from(frame).toString("hex"));
  }

  /** The frames that have come to the TAP that it opened last. */
  async read(): Promise<Buffer[]> {
    const frames = (await this.#ask("read")) as string[];
    return frames.map((frame) => Buffer.from(frame, "hex"));
  }

  async #ask(command: string, argument?: unknown): Promise<unknown> {
    const answered = once(this.#child, "message");
    this.#child.send({ command, argument });
    const [{ value, error }] = (await answered) as [
      { value?: unknown; error?: { code: string; message: string } },
    ];
    if (error) throw Object.assign(new Error(error.message), error);
    return value;
  }
}
