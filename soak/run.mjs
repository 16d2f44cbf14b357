// `npm run soak`: forks and releases guests in a network namespace of its own, samples what may not grow, and ends with
// 1 when something does.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describeCommit, describeMachine } from "../bench/machine.mjs";
import { formatTable } from "../bench/tables.mjs";
import { openNetwork } from "../dist/index.js";
import { loadAddon } from "../dist/kernel/addon.js";
import { allowanceOf, countLinks, GAUGES, readGauges, titleOf } from "./gauges.mjs";
import { Load, randomFrom } from "./load.mjs";
import { parseOptions } from "./options.mjs";
import { gaugeRows, writeReport } from "./report.mjs";
import { judge } from "./slope.mjs";

const POOL = 32;
const MOST_SAMPLES = 100;
const FEWEST_CYCLES_A_SAMPLE = 100;
/** This share of the cycles comes before the first sample that counts. */
const WARM_UP = 0.2;
/** lo, the bridge and the shaper. */
const OWN_LINKS = 3;
const REST_POLL_MS = 10;
/** The pool makes a slot in about a millisecond: when there is no new link for so long it is full. */
const REST_MS = 60;
const LONGEST_REST_MS = 30_000;

/** @typedef {{ cycles: number, sample: import("./gauges.mjs").Sample }} Point */

/** @param {import("./options.mjs").Options} options */
async function soak({ cycles, seed }) {
  loadAddon().unshareNetwork();
  const stateDir = mkdtempSync(join(tmpdir(), "forknet-soak-"));
  const linksBefore = countLinks();
  try {
    const network = await openNetwork({
      bridge: "vmbr0",
      subnet: "10.100.0.0/22",
      // The sum of guarantees is checked against it, and this is not about that.
      uploadCapacity: "1tbit",
      pool: { size: POOL },
      stateDir,
    });
    const load = new Load(network, randomFrom(seed));
    await load.warmUp();
    const residents = load.describeResidents();
    const startedMs = performance.now();
    /** @type {Point[]} */
    const points = [];
    const samples = Math.min(MOST_SAMPLES, Math.floor(cycles / FEWEST_CYCLES_A_SAMPLE));
    for (let done = 0, i = 1; i <= samples; i++) {
      const goal = Math.round((cycles * i) / samples);
      await load.run(goal - done);
      done = goal;
      await untilAtRest(OWN_LINKS + POOL + load.residents);
      points.push({ cycles: done, sample: readGauges(stateDir) });
    }
    const seconds = (performance.now() - startedMs) / 1000;
    const changed = load.describeResidents().filter((line) => !residents.includes(line));
    if (changed.length > 0)
      throw new Error(`Guests that stay became others: ${changed.join("; ")}`);
    await network.destroy();
    return { points, seconds, courses: load.courses, linksLeft: countLinks() - linksBefore };
  } finally {
    rmSync(stateDir, { recursive: true, force: true });
  }
}

/** Waits until the pool is full and nothing changes any more. @param {number} links */
async function untilAtRest(links) {
  const deadline = performance.now() + LONGEST_REST_MS;
  let restSince = performance.now();
  for (let last = countLinks(); ; ) {
    await sleep(REST_POLL_MS);
    const now = countLinks();
    if (now !== last || now < links) restSince = performance.now();
    if (performance.now() - restSince >= REST_MS) return;
    if (performance.now() > deadline)
      throw new Error(`Expected ${links} links that stay, but there are ${now}`);
    last = now;
  }
}

/** @param {readonly Point[]} points those behind the warm-up */
function judgeAll(points) {
  const cycles = points.at(-1)?.cycles ?? 0;
  const xs = points.map((point) => point.cycles);
  return GAUGES.map((gauge) => {
    const ys = points.map(({ sample }) => sample[gauge]);
    return { title: titleOf(gauge), ys, ...judge(xs, ys, allowanceOf(gauge, cycles)) };
  });
}

/** @param {string[]} args */
async function main(args) {
  const options = parseOptions(args);
  // Before the run: the sources may change under one that takes minutes.
  const taken = { takenAt: new Date().toISOString(), ...describeCommit() };
  const { points, seconds, courses, linksLeft } = await soak(options);
  const measured = points.slice(Math.ceil(points.length * WARM_UP) - 1);
  const gauges = judgeAll(measured);
  const run = {
    ...options,
    command: ["npm run soak", ...(args.length > 0 ? ["--", ...args] : [])].join(" "),
    ...taken,
    machine: describeMachine(),
    seconds,
    courses,
    linksLeft,
    warmUpCycles: measured[0]?.cycles ?? 0,
    samples: measured.length,
    gauges,
  };
  console.log(formatTable(gaugeRows(gauges)));
  console.log(`${options.cycles} cycles in ${seconds.toFixed(0)} s, seed ${options.seed}`);
  if (options.report) console.log(`report: ${writeReport(run)}`);
  const growing = gauges.filter(({ isFlat }) => !isFlat).map(({ title }) => title);
  if (linksLeft !== 0) growing.push(`${linksLeft} links after destroy()`);
  if (growing.length === 0) return;
  console.error(`soak: not flat: ${growing.join("; ")}`);
  process.exitCode = 1;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(`soak: ${/** @type {Error} */ (error).message}`);
  process.exitCode = 2;
}
