// `forknet top`: the guests by what they send and receive now, anew every second. Follows the
// network when its agent goes and another comes.

import { once } from "node:events";
import { emitKeypressEvents } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { NetworkStatus } from "../control/status.js";
import { ForknetError } from "../errors.js";
import { addSiteCommand, type Printed, readSeconds } from "./command.js";
import { Site, type SiteOptions } from "./site.js";
import { formatGuests, formatNetwork } from "./status-report.js";
import { cut } from "./terminal-line.js";
import { type Throughput, throughputBetween } from "./throughput.js";
import { isSortKey, SORT_KEYS, type SortKey, sortGuests } from "./top-order.js";

interface TopOptions extends SiteOptions, Printed {
  interval: number;
  sort: SortKey;
  count?: number;
}

const ENTER_SCREEN = "\x1b[?1049h\x1b[?25l";
const LEAVE_SCREEN = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

export function addTop(program: Command): void {
  addSiteCommand(program, "top", {
    text: "the guests by live throughput, refreshing; keys: d u x i sort, q ends",
    examples: [
      "forknet top",
      "forknet top --sort drops --interval 5",
      "forknet top --json --count 10 | jq -c '.guests[0].throughput'",
    ],
  })
    .option("--interval <seconds>", "between two refreshes", readInterval, 1)
    .addOption(new Option("--sort <key>", "what comes first").choices(SORT_KEYS).default("down"))
    .option("--count <n>", "end after so many refreshes", readCount)
    .action((options: TopOptions) => new Top(options).run());
}

class Top {
  readonly #options: TopOptions;
  /** Keys and a screen of its own need a terminal on both sides. */
  readonly #isInteractive: boolean;
  readonly #quit = new AbortController();
  #sort: SortKey;
  #site: Site | undefined;
  #shown: { status: NetworkStatus; throughput: Map<string, Throughput> } | undefined;

  constructor(options: TopOptions) {
    this.#options = options;
    this.#sort = options.sort;
    const isTerminal = process.stdout.isTTY && process.stdin.isTTY;
    this.#isInteractive = isTerminal === true && !options.json;
  }

  async run(): Promise<void> {
    const { interval, count = Number.POSITIVE_INFINITY } = this.#options;
    // A network that is not there is told before the screen is taken.
    let before = await this.#look();
    const leave = this.#enter();
    try {
      for (let shown = 0; shown < count && !this.#quit.signal.aborted; shown++) {
        await sleep(interval * 1000, undefined, { signal: this.#quit.signal }).catch(() => {});
        if (this.#quit.signal.aborted) break;
        const status = await this.#look();
        this.#shown = { status, throughput: throughputBetween(before, status) };
        before = status;
        await this.#show();
      }
    } finally {
      leave();
      this.#site?.close();
    }
  }

  /** A holder that went away while it was asked is looked for anew. */
  async #look(): Promise<NetworkStatus> {
    this.#site ??= await Site.find(this.#options);
    try {
      const status = await this.#site.status();
      // Without an agent, one may have come.
      if (status.source === "kernel") this.#leaveSite();
      return status;
    } catch (error) {
      this.#leaveSite();
      if (!(error instanceof ForknetError) || error.code !== "ERR_FORKNET_CONFLICT") throw error;
      this.#site = await Site.find(this.#options);
      return this.#site.status();
    }
  }

  #leaveSite(): void {
    this.#site?.close();
    this.#site = undefined;
  }

  /** Takes the screen and the keys; gives the way back. */
  #enter(): () => void {
    const quit = () => this.#quit.abort();
    process.once("SIGINT", quit).once("SIGTERM", quit);
    if (!this.#isInteractive) return () => {};
    emitKeypressEvents(process.stdin);
    process.stdin.setRawMode(true);
    const onKey = (_: unknown, key: { name?: string; ctrl?: boolean }) => this.#onKey(key);
    process.stdin.on("keypress", onKey).resume();
    process.stdout.write(ENTER_SCREEN);
    return () => {
      process.stdout.write(LEAVE_SCREEN);
      process.stdin.off("keypress", onKey).setRawMode(false).pause();
    };
  }

  #onKey({ name = "", ctrl = false }: { name?: string; ctrl?: boolean }): void {
    if (name === "q" || name === "escape" || (ctrl && name === "c")) {
      this.#quit.abort();
      return;
    }
    const key = SORT_KEYS.find((one) => one.startsWith(name === "x" ? "drops" : name));
    if (name.length !== 1 || !isSortKey(key)) return;
    this.#sort = key;
    void this.#show();
  }

  async #show(): Promise<void> {
    if (!this.#shown) return;
    const { status, throughput } = this.#shown;
    const guests = sortGuests(status.guests, throughput, this.#sort);
    if (this.#options.json) {
      const live = guests.map((one) => ({ ...one, throughput: throughput.get(one.instanceId) }));
      await this.#write(`${JSON.stringify({ ...status, guests: live })}\n`);
      return;
    }
    const text = `${formatNetwork(status)}\n\n${formatGuests(guests, throughput)}\n`;
    await this.#write(this.#isInteractive ? this.#screen(text) : `${text}\n`);
  }

  /** Overwrites the last one without a flicker. */
  #screen(text: string): string {
    const { rows, columns } = process.stdout;
    const hint = `sorted by ${this.#sort}   d down   u up   x drops   i id   q quit`;
    const lines = [
      ...text
        .trimEnd()
        .split("\n")
        .slice(0, rows - 2),
      "",
      hint,
    ];
    const cutLines = lines.map((line) => `${cut(line, columns)}${CLEAR_LINE}`);
    return `${HOME}${cutLines.join("\n")}${CLEAR_BELOW}`;
  }

  /** A slow reader is waited for. */
  async #write(text: string): Promise<void> {
    if (!process.stdout.write(text)) await once(process.stdout, "drain");
  }
}

function readInterval(text: string): number {
  const seconds = readSeconds(text);
  if (seconds < 0.1) throw new InvalidArgumentError("Expected at least 0.1 seconds.");
  return seconds;
}

function readCount(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1)
    throw new InvalidArgumentError("Expected a whole number from 1.");
  return count;
}
