// A run as a table for the terminal and as docs/soak.md. Every number in it is the run's.

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { markdownTable } from "../bench/tables.mjs";

const REPORT = fileURLToPath(new URL("../docs/soak.md", import.meta.url));

/**
 * @typedef {object} JudgedGauge
 * @property {string} title
 * @property {readonly number[]} ys the samples behind the warm-up
 * @property {number} perThousand
 * @property {number} rise
 * @property {number} allowed
 * @property {boolean} isFlat
 */

/**
 * @typedef {object} Run
 * @property {string} command
 * @property {string} takenAt
 * @property {string} commit
 * @property {boolean} dirty
 * @property {ReturnType<typeof import("../bench/machine.mjs").describeMachine>} machine
 * @property {number} cycles
 * @property {number} seed
 * @property {number} seconds
 * @property {number} warmUpCycles
 * @property {number} samples
 * @property {Record<string, number>} courses
 * @property {number} linksLeft
 * @property {readonly JudgedGauge[]} gauges
 */

/** @param {readonly JudgedGauge[]} gauges */
export function gaugeRows(gauges) {
  return gauges.map(({ title, ys, perThousand, rise, allowed, isFlat }) => ({
    gauge: title,
    first: number(ys[0]),
    last: number(ys.at(-1)),
    least: number(Math.min(...ys)),
    most: number(Math.max(...ys)),
    "slope per 1,000 cycles": number(perThousand),
    "rise of the line": number(rise),
    "must stay below": number(allowed),
    flat: isFlat ? "yes" : "NO",
  }));
}

/** Writes docs/soak.md and returns its path. @param {Run} run */
export function writeReport(run) {
  mkdirSync(dirname(REPORT), { recursive: true });
  writeFileSync(REPORT, reportOf(run));
  return REPORT;
}

/** @param {Run} run */
function reportOf(run) {
  const { machine, cycles, seconds } = run;
  const facts = [
    { what: "command", value: `\`${run.command}\`` },
    { what: "date", value: run.takenAt },
    { what: "commit", value: run.commit + (run.dirty ? " (with changes)" : "") },
    { what: "machine", value: `${machine.cpu}, ${machine.cores} cores, ${machine.distribution}` },
    { what: "kernel", value: machine.kernel },
    { what: "Node", value: machine.node },
    { what: "seed", value: String(run.seed) },
    { what: "cycles", value: number(cycles) },
    { what: "time", value: `${seconds.toFixed(0)} s, ${(cycles / seconds).toFixed(0)} cycles/s` },
    { what: "warm-up", value: `${number(run.warmUpCycles)} cycles` },
    { what: "samples", value: String(run.samples) },
    { what: "links left by destroy()", value: String(run.linksLeft) },
  ];
  const courses = Object.entries(run.courses).map(([course, count]) => ({
    "between fork and release": course,
    cycles: number(count),
  }));
  return `# Soak

Written by the command below; every number is from that run.

${markdownTable(facts)}

A cycle forks a guest and releases it again, many at once, with a pool of warm slots.

${markdownTable(courses)}

At equal distances the work stops until the pool is full again, and every gauge is read. Behind the
warm-up a line is fitted through the samples (least squares). A gauge is flat when that line rises
by less than half of one over all measured cycles, and for memory by less than 5 % of its mean. The
store is appended to and made anew now and then: its largest size must stay below the figure.

${markdownTable(gaugeRows(run.gauges))}
`;
}

/** Whole numbers with separators; what is not whole with three digits that count. @param {number | undefined} value */
function number(value = Number.NaN) {
  const maximumFractionDigits = Math.abs(value) >= 100 ? 0 : 3;
  const text = value.toLocaleString("en-US", { maximumFractionDigits });
  return text === "-0" ? "0" : text;
}
