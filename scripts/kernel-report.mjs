// `kernel-report.mjs REPORT GUEST_KERNEL COMMAND`: docs/kernels.md from vitest's JSON of a run in a virtual machine.

import { readFileSync, writeFileSync } from "node:fs";
import { describeCommit, describeMachine } from "../bench/machine.mjs";

const [report, guestKernel, command] = process.argv.slice(2);
const { testResults } = JSON.parse(readFileSync(report, "utf8"));
const { cpu, cores, kernel, node } = describeMachine();
const { commit, dirty } = describeCommit();

const rows = testResults
  .map(({ name, assertionResults, message }) => {
    const count = (state) => assertionResults.filter(({ status }) => status === state).length;
    const file = name.replace(/^.*\/(?=test\/kernel\/)/, "");
    const [passed, failed] = [count("passed"), count("failed")];
    const others = assertionResults.length - passed - failed;
    return { file, passed, failed: failed === 0 && message ? 1 : failed, others };
  })
  .sort((a, b) => a.file.localeCompare(b.file));
const sum = (field) => rows.reduce((total, row) => total + row[field], 0);
const line = ({ file, passed, failed, others }) =>
  `| ${file} | ${passed} | ${failed} | ${others} |`;
const date = new Date().toISOString().slice(0, 16).replace("T", " ");
const document = [
  "# Other kernels",
  "",
  `${date} UTC, \`${command}\`. Commit ${commit.slice(0, 12)}${dirty ? " with changes" : ""}.`,
  `QEMU in software on ${cpu}, ${cores} cores, Linux ${kernel}; Node ${node}.`,
  "",
  "The kernel tests below ran in a virtual machine of that kernel, with the build and the node_modules of the host. They are",
  "a part of all, and none of them sends through stand-in guests: of those, `isolation.test.ts` was tried on 6.1, and four",
  "of its six tests failed. Whether the pace of the emulation or the kernel is the reason is not known yet.",
  "",
  `## ${guestKernel}`,
  "",
  "| file | passed | failed | skipped |",
  "| --- | --- | --- | --- |",
  ...rows.map(line),
  line({ file: "all", passed: sum("passed"), failed: sum("failed"), others: sum("others") }),
  "",
];
writeFileSync(new URL("../docs/kernels.md", import.meta.url), document.join("\n"));
