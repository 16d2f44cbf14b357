// docs/fuzz.md: what a run of the fuzz targets did. Every figure is of that run.
import { mkdirSync, writeFileSync } from "node:fs";
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
 * @property {{ commit: string, dirty: boolean }} sources
 * @property {string} compiler
 * @property {number} longestInputBytes
 * @property {Result[]} results
 * @property {(target: string) => string} about what a target feeds, and to whom
 */

export function writeReport(/** @type {string} */ path, /** @type {Run} */ run) {
  const machine = describeMachine();
  const { commit, dirty } = run.sources;
  const memory = (machine.memoryBytes / 2 ** 30).toFixed(1);
  const count = (/** @type {number} */ value) => value.toLocaleString("en");
  const rows = run.results.map(
    (result) =>
      `| ${result.target} | ${count(result.executions)} | ${result.seeds} | ${result.corpus} | ` +
      `${result.coverage} | ${result.features} | ${Math.round(result.seconds)} | ${result.crashed ? 1 : 0} |`,
  );
  const lines = [
    "# Fuzzing",
    "",
    "libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer on what reads the kernel's replies and on",
    "what writes the requests. Written by the run itself.",
    "",
    `- Command: \`${run.command} --report\``,
    `- Date: ${new Date().toISOString().slice(0, 10)}; commit ${commit.slice(0, 12)}${dirty ? " and changes" : ""}`,
    `- Machine: ${machine.cpu}, ${machine.cores} cores, ${memory} GiB; Linux ${machine.kernel}; ${machine.distribution}`,
    `- Compiler: ${run.compiler}`,
    "",
    "| target | executions | checked-in inputs | inputs kept | coverage | features | seconds | crashes |",
    "|---|--:|--:|--:|--:|--:|--:|--:|",
    ...rows,
    "",
    `Inputs are at most ${run.longestInputBytes} bytes long. A run starts from the checked-in inputs (native/fuzz/corpus:`,
    "replies of a real kernel, recorded by scripts/capture-corpus.sh, and every input that once broke a target).",
    "Coverage counts edges, features also how often they were taken.",
    "",
    ...run.results.map((result) => `- **${result.target}**: ${run.about(result.target)}`),
    "",
  ];
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, lines.join("\n"));
}
