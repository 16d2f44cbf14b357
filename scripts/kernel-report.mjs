// docs/kernels.md from what test files told in virtual machines (kernel-reporter.mjs).
//   kernel-report.mjs section FOLDER COMMAND   FOLDER/section.md, of the run that has just ended there
//   kernel-report.mjs document FOLDER          docs/kernels.md, of the sections in FOLDER/*/

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeCommit, describeMachine } from "../bench/machine.mjs";

/** What is known of tests that fail here, and why it is no fault of forknet's: part of a test's name, reason. */
const EXPLAINED = [];

const INTRODUCTION = `# Other kernels

The kernel tests below ran in a virtual machine of that kernel, emulated in software, with the build and the node_modules
of the host. Which files are left out by default, and why, is in \`scripts/kernel-matrix.sh\`. Tests wait longer there, and
the property tests try fewer cases; what they expect is the same, but for the rate of 200 mbit in \`traffic-rates.test.ts\`,
which an emulated machine cannot send.

What forknet does otherwise on these kernels:

- **Uploads before Linux 6.5.** An IFB drops what \`bpf_redirect\` brings it: \`ifb_xmit\` asks for \`skb->redirected\`, which
  \`__bpf_tx_skb\` sets since 6.5. On an older kernel the guard's filter is not a direct-action one but has a \`mirred\` that
  brings frames to the shaper (module act_mirred). That takes refused frames, too: they are counted at the TAP by their
  reason as ever, marked, and dropped by the classifier before any class. \`mirrored.test.ts\` proves it on every kernel.
`;

const [what, folder = "", command] = process.argv.slice(2);

function readResults() {
  return readFileSync(join(folder, "results.jsonl"), "utf8")
    .split("\n")
    .filter((line) => line.endsWith("}"))
    .map((line) => JSON.parse(line))
    .sort((a, b) => a.file.localeCompare(b.file));
}

/** @param {{ file: string, passed: number, failed: number, skipped: number }} row */
function line({ file, passed, failed, skipped }) {
  return `| ${file} | ${passed} | ${failed} | ${skipped} |`;
}

function makeSection() {
  const results = readResults();
  const rows = results.map((result) => ({ ...result, failed: result.failed.length }));
  const sum = (/** @type {"passed" | "failed" | "skipped"} */ field) =>
    rows.reduce((total, row) => total + row[field], 0);
  const failures = results.flatMap(({ file, failed }) =>
    failed.map((/** @type {string} */ name) => {
      const [, why = "not explained yet"] = EXPLAINED.find(([part]) => name.includes(part)) ?? [];
      return `- \`${file}\`, ${name}: ${why}.`;
    }),
  );
  const { cpu, cores, kernel, node } = describeMachine();
  const { commit, dirty } = describeCommit();
  const date = new Date().toISOString().slice(0, 16).replace("T", " ");
  const hasEnded = /^matrix: exit/m.test(readFileSync(join(folder, "console.log"), "utf8"));
  return [
    `## ${readFileSync(join(folder, "kernel"), "utf8").trim()}`,
    "",
    `${date} UTC, \`${command}\`. Commit ${commit.slice(0, 12)}${dirty ? " with changes" : ""}.`,
    `QEMU in software on ${cpu}, ${cores} cores, Linux ${kernel}; Node ${node}.`,
    ...(hasEnded ? [] : ["The machine was stopped before every file had run: these had."]),
    "",
    "| file | passed | failed | skipped |",
    "| --- | --- | --- | --- |",
    ...rows.map(line),
    line({ file: "all", passed: sum("passed"), failed: sum("failed"), skipped: sum("skipped") }),
    "",
    ...(failures.length > 0 ? ["Failed:", "", ...failures, ""] : []),
  ].join("\n");
}

function makeDocument() {
  const sections = readdirSync(folder)
    .map((series) => join(folder, series, "section.md"))
    .filter((path) => existsSync(path))
    .sort(new Intl.Collator("en", { numeric: true }).compare);
  return [INTRODUCTION, ...sections.map((path) => readFileSync(path, "utf8"))].join("\n");
}

if (what === "section") writeFileSync(join(folder, "section.md"), makeSection());
else writeFileSync(new URL("../docs/kernels.md", import.meta.url), makeDocument());
