// `--report`: bench/results/ with report.md, the charts, and the run as latest.json.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pictures } from "./charts.mjs";
import { budgetRows, markdownTable } from "./tables.mjs";

const RESULTS = fileURLToPath(new URL("./results/", import.meta.url));
const GIB = 2 ** 30;

/** @param {any} run @returns {string} where it is */
export function writeReport(run) {
  const drawn = pictures(run);
  mkdirSync(RESULTS, { recursive: true });
  for (const { file, svg } of drawn) writeFileSync(join(RESULTS, file), svg);
  writeFileSync(join(RESULTS, "latest.json"), `${JSON.stringify(run)}\n`);
  writeFileSync(join(RESULTS, "report.md"), markdown(run, drawn));
  return RESULTS;
}

/**
 * @param {any} run
 * @param {import("./charts.mjs").Picture[]} drawn
 */
function markdown(run, drawn) {
  const { machine, commit, dirty, takenAt, seconds, scale, loadBefore, missing } = run;
  const chartsOf = (/** @type {string} */ start) =>
    drawn
      .filter(({ file }) => file.startsWith(start))
      .map(({ file, title }) => `![${title}](${file})\n`);
  const parts = Object.entries(run.questions).flatMap(([name, { title, how, table }]) => [
    `## ${title}\n`,
    `${how}\n`,
    ...(CHARTS[name] ?? []).flatMap(chartsOf),
    `${markdownTable(table)}\n`,
  ]);
  return [
    "# Benchmark\n",
    `${takenAt.slice(0, 16).replace("T", " ")} UTC, \`npm run bench${scale === "full" ? "" : ` -- --${scale}`}\`, ${seconds} s. ` +
      `Commit ${commit.slice(0, 12)}${dirty ? " with changes" : ""}.\n`,
    `${machine.cpu}, ${machine.cores} cores, ${(machine.memoryBytes / GIB).toFixed(0)} GiB; Linux ${machine.kernel}, ` +
      `${machine.distribution}, Node ${machine.node}; load before the run ${loadBefore}.\n`,
    "Every trial has a process and a network namespace of its own; peers take turns within a round, and ratios are\n" +
      'taken within rounds. "Floor" is the kernel\'s own time for the least a guest needs (bench/floor), without a\n' +
      'runtime; the "usual way" is a Go agent with a netlink library and four `tc` processes a guest (bench/peers).\n' +
      "bench/NOTES.md tells what was tried.\n",
    ...missing.map((/** @type {string} */ what) => `Left out: ${what}\n`),
    "## Budgets\n",
    `${markdownTable(budgetRows(run.budgets))}\n`,
    run.budgets.map((/** @type {any} */ { name, formula }) => `- ${name}: ${formula}`).join("\n"),
    "",
    ...parts,
  ].join("\n");
}

/** Which charts stand with which question, by how their files' names begin. @type {Record<string, string[]>} */
const CHARTS = {
  fork: ["fork-latency"],
  burst: ["burst-"],
  growth: ["growth"],
  wait: ["wait"],
  "data-path": ["throughput", "round-trip"],
};
