// docs/kernels.md from what test files told in virtual machines (kernel-reporter.mjs).
//   kernel-report.mjs begin FOLDER             FOLDER/commit, before a run
//   kernel-report.mjs end FOLDER COMMAND       FOLDER/runs.json, with the run that has just ended there
//   kernel-report.mjs document FOLDER          docs/kernels.md, of FOLDER/*/runs.json

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeCommit, describeMachine } from "../bench/machine.mjs";

/** What is known of tests that fail here, and why it is no fault of forknet's: part of a test's name, reason. */
const EXPLAINED = [
  [
    "mbit both ways, on cold and on warm slots",
    "goodput is judged to 5 %; it misses that on both kernels, by bpf_redirect and by mirred alike, in other rates and by " +
      "other shares each time, and keeps it without emulation. That the emulation is the reason is likely, not proved",
  ],
];

const INTRODUCTION = `# Other kernels

The kernel tests below ran in a virtual machine of that kernel, emulated in software, with the build and the node_modules
of the host. Which files are left out by default, and why, is in \`scripts/kernel-matrix.sh\`. Tests wait longer there, and
the property tests try fewer cases; what they expect is the same.

What differs on these kernels:

- **Bridges with VLANs.** Debian's kernels have CONFIG_BRIDGE_VLAN_FILTERING: a bridge then keeps a forwarding entry for
  VLAN 1 beside the one that forknet makes, tells both, and deletes both. The tests count them once.
- **Names before Linux 6.2.** No link that is up takes another name (EBUSY): a warm slot that a restore or an exact wish
  renames, or a TAP that somebody renamed, is down for that moment.
- **Uploads before Linux 6.5.** An IFB drops what \`bpf_redirect\` brings it: \`ifb_xmit\` asks for \`skb->redirected\`, which
  \`__bpf_tx_skb\` sets since 6.5. On an older kernel the guard's filter is not a direct-action one but has a \`mirred\` that
  brings frames to the shaper (module act_mirred). That takes refused frames, too: they are counted at the TAP by their
  reason as ever, marked, and dropped by the classifier before any class, so that a guest's own \`guardDrops\` in
  \`statistics()\` has only what was dropped on the way to it. \`mirrored.test.ts\` proves it on every kernel.
`;

const [what, folder = "", command] = process.argv.slice(2);

function readResults() {
  return (
    readFileSync(join(folder, "results.jsonl"), "utf8")
      // The serial line adds a carriage return.
      .split(/\r?\n/)
      .filter((line) => line.endsWith("}"))
      .map((line) => JSON.parse(line))
  );
}

/** The runs in this folder, of which each file's last counts; the one that has just ended is added. */
function keepRun() {
  const path = join(folder, "runs.json");
  const kernel = readFileSync(join(folder, "kernel"), "utf8").trim();
  const kept = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : [];
  const run = {
    kernel,
    command,
    commit: readFileSync(join(folder, "commit"), "utf8"),
    date: new Date().toISOString().slice(0, 16).replace("T", " "),
    hasEnded: /^matrix: exit/m.test(readFileSync(join(folder, "console.log"), "utf8")),
    results: readResults(),
  };
  const isAgain = (/** @type {{ file: string }} */ one) =>
    run.results.some(({ file }) => file === one.file);
  const runs = kept
    .filter((/** @type {typeof run} */ one) => one.kernel === kernel)
    .map((/** @type {typeof run} */ one) => ({
      ...one,
      results: one.results.filter((result) => !isAgain(result)),
    }))
    .concat(run)
    .filter((/** @type {typeof run} */ { results }) => results.length > 0);
  writeFileSync(path, JSON.stringify(runs));
}

/** @param {string} path */
function makeSection(path) {
  const runs = JSON.parse(readFileSync(path, "utf8"));
  const rows = runs
    .flatMap((run, i) => run.results.map((result) => ({ ...result, run: i + 1 })))
    .sort((a, b) => a.file.localeCompare(b.file));
  const sum = (/** @type {"passed" | "skipped"} */ field) =>
    rows.reduce((total, row) => total + row[field], 0);
  const failures = rows.flatMap(({ file, failed }) =>
    failed.map((/** @type {string} */ name) => {
      const [, why = "not explained yet"] = EXPLAINED.find(([part]) => name.includes(part)) ?? [];
      return `- \`${file}\`, ${name}: ${why}.`;
    }),
  );
  const { cpu, cores, kernel, node } = describeMachine();
  return [
    `## ${runs.at(-1).kernel}`,
    "",
    `QEMU in software on ${cpu}, ${cores} cores, Linux ${kernel}; Node ${node}.`,
    "",
    ...runs.map(
      ({ date, command, commit, hasEnded }, i) =>
        `${i + 1}. ${date} UTC, \`${command}\`. Commit ${commit}.${hasEnded ? "" : " Stopped before every file had run."}`,
    ),
    "",
    "| file | passed | failed | skipped | run |",
    "| --- | --- | --- | --- | --- |",
    ...rows.map(
      ({ file, passed, failed, skipped, run }) =>
        `| ${file} | ${passed} | ${failed.length} | ${skipped} | ${run} |`,
    ),
    `| all | ${sum("passed")} | ${failures.length} | ${sum("skipped")} | |`,
    "",
    ...(failures.length > 0 ? ["Failed:", "", ...failures, ""] : []),
  ].join("\n");
}

function makeDocument() {
  const sections = readdirSync(folder)
    .map((series) => join(folder, series, "runs.json"))
    .filter((path) => existsSync(path))
    .sort(new Intl.Collator("en", { numeric: true }).compare);
  return [INTRODUCTION, ...sections.map(makeSection)].join("\n");
}

function nameCommit() {
  const { commit, dirty } = describeCommit();
  return `${commit.slice(0, 12)}${dirty ? " with changes" : ""}`;
}

if (what === "begin") writeFileSync(join(folder, "commit"), nameCommit());
else if (what === "end") keepRun();
else writeFileSync(new URL("../docs/kernels.md", import.meta.url), makeDocument());
