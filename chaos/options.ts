// The command line of `npm run chaos`.

import { parseArgs } from "node:util";
import { SCENARIOS } from "./scenarios.mjs";

export interface Options {
  kills: number;
  seed: number;
  /** At most so many aimed kills. */
  aims: number;
  /** Only kills aimed at this plan. */
  plan: string | undefined;
  report: boolean;
}

export const USAGE = `usage: npm run chaos -- [--kills N] [--seed S] [--aims N] [--plan NAME] [--report]
  --kills N     kills at random instants and random kernel operations, default 100; aimed ones come on top
  --seed S      repeats a campaign; default: from the clock
  --aims N      at most so many aimed kills, default every gap of every plan
  --plan NAME   only the kills aimed at one plan: ${SCENARIOS.map(({ name }) => `"${name}"`).join(", ")}
  --report      write docs/chaos.md`;

/** Throws an Error with the usage when something is wrong. */
export function parseOptions(args: string[]): Options {
  let values: { kills?: string; seed?: string; aims?: string; plan?: string; report?: boolean };
  try {
    const text = { type: "string" } as const;
    const options = {
      kills: text,
      seed: text,
      aims: text,
      plan: text,
      report: { type: "boolean" },
    } as const;
    ({ values } = parseArgs({ args, options }));
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${USAGE}`);
  }
  const { plan, report = false } = values;
  if (plan !== undefined && !SCENARIOS.some(({ name }) => name === plan))
    throw new Error(`Expected the name of a plan for --plan, but received ${plan}\n${USAGE}`);
  const kills = whole(values.kills ?? "100", "--kills");
  const seed = whole(values.seed ?? String(Date.now() % 2 ** 31), "--seed");
  const aims = values.aims === undefined ? Number.POSITIVE_INFINITY : whole(values.aims, "--aims");
  return { aims, kills: plan === undefined ? kills : 0, seed, plan, report };
}

function whole(text: string, option: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0 && text.trim() !== "") return value;
  throw new Error(`Expected a whole number for ${option}, but received ${text}\n${USAGE}`);
}
