// docs/fuzz.md: what the last run of each fuzz target did. Every figure is of that run.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { describeMachine } from "../bench/machine.mjs";

/**
 * @typedef {object} Result
 * @property {string} target
 * @property {number} executions
 * @property {number} seeds
 * @property {number} corpus
 * @property {number} coverage
 * @property {number} features
 * @property {number} seconds
 * @property {boolean} crashed
 *
 * @typedef {object} Run
 * @property {string} command
 * @property {number} seed
 * @property {{ commit: string, dirty: boolean }} sources
 * @property {string} compiler
 * @property {number} longestInputBytes
 * @property {Result[]} results
 * @property {(target: string) => string} about what a target feeds, and to whom
 */

/** Rows of targets that did not run now stay, if they are of this machine and compiler. */
export function writeReport(/** @type {string} */ path, /** @type {Run} */ run) {
  const place = describePlace(run.compiler);
  const rows = new Map(rowsOf(path, place));
  for (const result of run.results) rows.set(result.target, row(result, run));
  const targets = [...rows.keys()].toSorted((a, b) => a.localeCompare(b));
  const lines = [
    "# Fuzzing",
    "",
    "libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer on what reads the kernel's replies and on",
    "what writes the requests. Written by the runs themselves.",
    "",
    `- Command: \`${run.command}\`, or all targets at once`,
    ...place,
    "",
    "| target | executions | checked-in inputs | inputs kept | coverage | features | seconds | crashes | seed | date | commit |",
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|---|",
    ...targets.map((target) => rows.get(target)),
    "",
    `Inputs are at most ${run.longestInputBytes} bytes long. A run starts from the checked-in inputs (native/fuzz/corpus:`,
    "replies of a real kernel, recorded by scripts/capture-corpus.sh, and every input that once broke a target).",
    "Coverage counts edges, features also how often they were taken.",
    "",
    ...targets.map((target) => `- **${target}**: ${run.about(target)}`),
    "",
  ];
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, lines.join("\n"));
}

function describePlace(/** @type {string} */ compiler) {
  const { cpu, cores, memoryBytes, kernel, distribution } = describeMachine();
  const memory = (memoryBytes / 2 ** 30).toFixed(1);
  return [
    `- Machine: ${cpu}, ${cores} cores, ${memory} GiB; Linux ${kernel}; ${distribution}`,
    `- Compiler: ${compiler}`,
  ];
}

/** The rows of the report that is there, by target. */
function rowsOf(/** @type {string} */ path, /** @type {string[]} */ place) {
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  if (!place.every((line) => text.includes(line))) return [];
  return [...text.matchAll(/^\| (\w+) \| [\d,]+ \|.*$/gm)].map(
    ([line, target]) => /** @type {const} */ ([target ?? "", line]),
  );
}

function row(/** @type {Result} */ result, /** @type {Run} */ { seed, sources }) {
  const cells = [
    result.target,
    result.executions.toLocaleString("en"),
    result.seeds,
    result.corpus,
    result.coverage,
    result.features,
    Math.round(result.seconds),
    result.crashed ? 1 : 0,
    seed,
    new Date().toISOString().slice(0, 10),
    `${sources.commit.slice(0, 12)}${sources.dirty ? " and changes" : ""}`,
  ];
  return `| ${cells.join(" | ")} |`;
}
