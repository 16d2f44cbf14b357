// What a campaign tells: a short table on the terminal, and with --report docs/chaos.md.

import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describeCommit, describeMachine } from "../bench/machine.mjs";
import type { Campaign } from "./campaign.js";
import type { Options } from "./options.js";
import type { Outcome } from "./series.js";

const FILE = fileURLToPath(new URL("../docs/chaos.md", import.meta.url));

/** The table; written to docs/chaos.md when the options say so. */
export function writeReport(
  { kills, seed, report }: Options,
  outcome: Outcome,
  { tally, metered, frames }: Campaign,
  seconds: number,
): string {
  const { instants, atOperations, aimed, missed, operations } = outcome;
  const { workers, aimedWorkers, missedWorkers } = outcome;
  const rows: [string, string | number][] = [
    ["kills at random instants", instants],
    ["kills after a random kernel operation of random calls", atOperations],
    ["kills aimed at a gap of a plan", `${aimed} (${missed} came after the plan's end)`],
    ["worker threads that died under random calls", workers],
    [
      "worker threads that died in a gap of a plan",
      `${aimedWorkers} (${missedWorkers} gaps were the main thread's, or came after the plan's end)`,
    ],
    ["kills before the network had opened and settled", tally.diedOpening],
    [
      "calls asked for, acknowledged, refused",
      `${tally.asked}, ${tally.acknowledged}, ${tally.refused}`,
    ],
    ["checks of a settled network; live guests in them", `${tally.checks}; ${tally.guestsChecked}`],
    ["frames that guests sent, that reached the gateway", `${frames.sent}, ${frames.uploaded}`],
    ["frames that reached guests", frames.downloaded],
    ["readings of the limits' counters; windows judged", `${metered.samples}; ${metered.windows}`],
    [
      "most in a window of 0.5 to 1 s, its bucket included",
      `${metered.highestShare.toFixed(3)} of the limit`,
    ],
    ["differences, lost guests, windows over the limit", 0],
  ];
  const table = markdown(["", ""], rows);
  const plans = markdown(["plan", "kernel operations"], [...operations]);
  if (report) {
    mkdirSync(new URL(".", new URL(`file://${FILE}`)), { recursive: true });
    writeFileSync(
      FILE,
      document(`npm run chaos -- --kills ${kills} --seed ${seed}`, seconds, table, plans),
    );
  }
  return `${table}\n\n${plans}\n\n${seconds.toFixed(0)} s, seed ${seed}`;
}

function document(command: string, seconds: number, table: string, plans: string): string {
  const { cpu, cores, kernel, distribution, node } = describeMachine();
  const { commit, dirty } = describeCommit();
  return [
    "# Chaos",
    "",
    `${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC, \`${command}\`, ${seconds.toFixed(0)} s. Commit ${commit.slice(0, 12)}${dirty ? " with changes" : ""}.`,
    `${cpu}, ${cores} cores; Linux ${kernel}, ${distribution}, Node ${node}.`,
    "",
    "A driver makes random calls (create, recreate, standby, release, limits, identity) as fast as they go, for 24 guests at once, and",
    "is killed with SIGKILL: at random instants, and after every single kernel operation of every plan. The next driver opens",
    "the network, reconciles, and is compared with the journal of what was asked and acknowledged, line by line with the",
    "kernel (links, qdiscs, classes, filters, forwarding and neighbour entries, lease map) and with the standby store. Ten",
    "guests with traffic, whose TAPs a process of its own holds, send and are sent 4 Mbit/s throughout; their limits are at",
    "most 2 Mbit/s, and the counters of their classes and TBFs are judged over every window up to a second. Every other",
    "guest has the identity of one snapshot in its memory and is translated. Worker threads die, too (an exception that nobody",
    "catches, process.exit, no memory), while their process lives: it goes on, and is compared before it is killed.",
    "",
    table,
    "",
    "Every gap between two operations of these plans was aimed at, the ones before the first and after the last included.",
    "What a plan has beside it in the background, such as the refill of the pool, counts with it.",
    "",
    plans,
    "",
  ].join("\n");
}

function markdown(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
