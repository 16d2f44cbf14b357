// What all commands have in common: options, help, what is printed, and how an error becomes an exit
// code.

import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { toPlainError } from "../control/protocol.js";
import { errorFromFailure } from "../errors.js";
import { Refused } from "../kernel/kernel.js";
import { exitCodeOf } from "./exit.js";
import { Site, type SiteOptions } from "./site.js";

export interface Printed {
  /** One JSON object instead of text. */
  json?: boolean;
}

export interface About {
  text: string;
  examples: readonly string[];
}

/** A command with `--json`, and examples under its help. */
export function addCommand(program: Command, usage: string, { text, examples }: About): Command {
  const lines = examples.map((example) => `  ${example}\n`).join("");
  return program
    .command(usage)
    .description(text)
    .option("--json", "print one JSON object instead of text, also for an error")
    .addHelpText("after", `\nExamples:\n${lines}`);
}

/** A command about a network that is there. */
export function addSiteCommand(program: Command, usage: string, about: About): Command {
  return addCommand(program, usage, about)
    .option("-b, --bridge <name>", "the network on this bridge; needed when there are several")
    .option(
      "-d, --state-dir <path>",
      "its agent's state directory, with the control socket",
      readPath,
    )
    .option("--timeout <seconds>", "how long the agent may take to answer", readSeconds);
}

/** Runs `use` at the network the options mean. */
export async function atSite<Value>(
  options: SiteOptions,
  use: (site: Site) => Promise<Value>,
): Promise<Value> {
  const site = await Site.find(options);
  try {
    return await use(site);
  } finally {
    site.close();
  }
}

export function print({ json }: Printed, value: object, text: () => string): void {
  process.stdout.write(`${json ? JSON.stringify(value, null, 2) : text()}\n`);
}

/** Says what went wrong, in the form that was asked for, and sets the exit code. */
export function fail(thrown: unknown, json: boolean): void {
  const error = thrown instanceof Refused ? errorFromFailure(thrown.failure) : thrown;
  const plain = toPlainError(error);
  if (json) process.stdout.write(`${JSON.stringify({ error: plain }, null, 2)}\n`);
  else process.stderr.write(`forknet: ${plain.code}: ${plain.message}\n`);
  process.exitCode = exitCodeOf(error);
}

/** Absolute, as openNetwork wants it. */
export function readPath(text: string): string {
  return resolve(text);
}

export function readSeconds(text: string): number {
  const seconds = Number(text);
  if (text.trim() === "" || !(seconds >= 0 && seconds <= 86_400))
    throw new InvalidArgumentError("Expected seconds, 0 to 86400.");
  return seconds;
}
