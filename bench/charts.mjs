// Which pictures a run gives, and what is in each. A picture whose question was not asked is left out.

import { lineChart } from "./charts/line-chart.mjs";
import { rangeChart } from "./charts/range-chart.mjs";
import { formatUs, short } from "./charts/scale.mjs";

const US_PER_MS = 1000;

/** @typedef {{ file: string, title: string, svg: string }} Picture */

/**
 * @param {{ questions: Record<string, any>, machine: { cpu: string, cores: number, kernel: string }, takenAt: string }} run
 * @returns {Picture[]}
 */
export function pictures({ questions, machine, takenAt }) {
  const where = `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, ${takenAt.slice(0, 10)}`;
  const { fork, burst, growth, wait, "data-path": dataPath } = questions;
  return [
    ...(fork ? [forkLatency(fork, where)] : []),
    ...Object.entries(burst?.bySize ?? {}).map(([size, { timelines }]) =>
      burstTimeline(size, timelines, where),
    ),
    ...(growth ? [growthLines(growth, where)] : []),
    ...(wait ? [waits(wait, where)] : []),
    ...(dataPath
      ? [
          throughput(dataPath, where, false),
          throughput(dataPath, where, true),
          roundTrips(dataPath, where),
        ]
      : []),
  ];
}

/** @param {Record<string, { share: number, value: number }[]>} curves */
function rows(curves, factor = 1) {
  return Object.entries(curves).map(([name, curve]) => ({
    name,
    curve: curve.map(({ share, value }) => ({ share, value: value * factor })),
  }));
}

/** @param {any} fork @param {string} where @returns {Picture} */
function forkLatency({ curves }, where) {
  const title = "One fork at a time: until the caller has a usable TAP";
  const note = `Dot: median. Bar: p5 to p95. Line: fastest to slowest. ${where}`;
  return { file: "fork-latency.svg", title, svg: rangeChart({ title, note, rows: rows(curves) }) };
}

/** @param {string} size @param {any} timelines @param {string} where @returns {Picture} */
function burstTimeline(size, timelines, where) {
  const title = `${size} forks at once`;
  const note = `Solid: guests that are usable. Dashed: guests that have their limits. ${where}`;
  const series = Object.entries(timelines).flatMap(([name, { usable, shaped }]) => [
    { name, label: name, points: steps(usable) },
    { name, label: `${name}: shaped`, isDashed: true, points: steps(shaped) },
  ]);
  const x = /** @type {const} */ ({
    label: "time since the first call",
    kind: "log",
    format: msLabel,
  });
  const y = /** @type {const} */ ({ label: "guests", kind: "linear", format: String });
  // Where usable means shaped, one line says both.
  const told = series.filter(({ isDashed, points }, i) => {
    const solid = series[i - 1]?.points;
    return !isDashed || JSON.stringify(points) !== JSON.stringify(solid);
  });
  return { file: `burst-${size}.svg`, title, svg: lineChart({ title, note, x, y, series: told }) };
}

/** @param {{ count: number, value: number }[]} times */
function steps(times) {
  const points = times.map(({ count, value }) => ({ x: value, y: count }));
  return [{ x: points[0]?.x ?? 0, y: 0 }, ...points];
}

/** @param {number} ms */
function msLabel(ms) {
  return formatUs(ms * US_PER_MS);
}

/** @param {any} growth @param {string} where @returns {Picture} */
function growthLines({ series }, where) {
  const title = "A fork by the number of guests that are there already";
  const note = `Median of a tenth of the range. ${where}`;
  const lines = Object.entries(series).map(([name, points]) => ({
    name,
    label: name,
    hasDots: true,
    points: points.map((/** @type {{ guests: number, p50: number }} */ { guests, p50 }) => ({
      x: guests,
      y: p50,
    })),
  }));
  const x = /** @type {const} */ ({ label: "guests", kind: "linear", format: String });
  const y = /** @type {const} */ ({ label: "p50", kind: "log", format: formatUs });
  return { file: "growth.svg", title, svg: lineChart({ title, note, x, y, series: lines }) };
}

/** @param {any} wait @param {string} where @returns {Picture} */
function waits({ curves }, where) {
  const title = "A VMM opens its TAP while 200 guests are released: how long it waits";
  const note = `TUNSETIFF every 2 ms. Dot: median. Bar: p5 to p95. Line: shortest to longest. ${where}`;
  return {
    file: "wait.svg",
    title,
    svg: rangeChart({ title, note, rows: rows(curves, US_PER_MS) }),
  };
}

/**
 * @param {any} dataPath
 * @param {string} where
 * @param {boolean} areFrames what the guest sends: single frames, or segments of 64 KB
 * @returns {Picture}
 */
function throughput({ throughput: cells, sizes }, where, areFrames) {
  const title = `TCP through one guest by the number of guests with limits${areFrames ? ", without offloads" : ""}`;
  const note = `One flow. Solid: upload. Dashed: download. ${where}`;
  const shown = cells.filter(
    (/** @type {any} */ { limits }) => limits.endsWith("single frames") === areFrames,
  );
  const names = [...new Set(shown.map((/** @type {any} */ { limits }) => limits))];
  const series = /** @type {const} */ (["upload", "download"]).flatMap((direction) =>
    names.map((name) => {
      const own = shown.filter((/** @type {any} */ { limits }) => limits === name);
      const points = own.map((/** @type {any} */ cell) => ({ x: cell.guests, y: cell[direction] }));
      // One guest without limits is what every number of guests is held against.
      const line =
        points.length === 1
          ? sizes.map((/** @type {number} */ x) => ({ x, y: points[0].y }))
          : points;
      const label = `${name.split(",")[0]}: ${direction}`;
      return {
        name,
        label,
        isDashed: direction === "download",
        hasDots: points.length > 1,
        points: line,
      };
    }),
  );
  const x = /** @type {const} */ ({ label: "guests", kind: "log", format: String });
  const y = /** @type {const} */ ({ label: "gbit/s", kind: "linear", format: short });
  const file = areFrames ? "throughput-frames.svg" : "throughput.svg";
  return { file, title, svg: lineChart({ title, note, x, y, series }) };
}

/** @param {any} dataPath @param {string} where @returns {Picture} */
function roundTrips({ curves }, where) {
  const title = "UDP round trip through one guest, by the limits that exist";
  const note = `One at a time, from a Node process to a Node process. Dot: median. Bar: p5 to p95. ${where}`;
  return { file: "round-trip.svg", title, svg: rangeChart({ title, note, rows: rows(curves) }) };
}
