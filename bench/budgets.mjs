// What forknet promises, and where in a run's result each promise is measured. The only place with limits in it.

import { median } from "./statistics.mjs";

/**
 * @typedef {object} Budget
 * @property {string} name
 * @property {string} question
 * @property {string} formula
 * @property {"at most" | "at least"} side
 * @property {number} limit
 * @property {string} unit "" for a ratio
 * @property {(result: any) => number | undefined} measure of the question's result; undefined when it was not measured
 */

/** @type {Budget[]} */
export const budgets = [
  {
    name: "cold fork, one at a time",
    question: "fork",
    formula: "median over rounds of: p50 of forknet cold / p50 of the floor, both back to back",
    side: "at most",
    limit: 1.3,
    unit: "",
    measure: ({ coldToFloor }) => median(coldToFloor),
  },
  {
    name: "warm fork, one at a time",
    question: "fork",
    formula: "median over rounds of: p50 of forknet warm / p50 of the floor, both back to back",
    side: "at most",
    limit: 0.1,
    unit: "",
    measure: ({ warmToFloor }) => median(warmToFloor),
  },
  {
    name: "100 forks at once, pool of 128: last one usable",
    question: "burst",
    formula: "median over rounds of: last usable of forknet warm / of the usual way, deferred",
    side: "at most",
    limit: 1 / 50,
    unit: "",
    measure: ({ bySize }) =>
      bySize[100]?.usableToUsual && median(bySize[100].usableToUsual.deferred),
  },
  {
    name: "100 forks at once, pool of 128: all shaped",
    question: "burst",
    formula: "median over rounds of: all shaped of forknet warm / of the usual way, deferred",
    side: "at most",
    limit: 1 / 50,
    unit: "",
    measure: ({ bySize }) =>
      bySize[100]?.shapedToUsual && median(bySize[100].shapedToUsual.deferred),
  },
  {
    name: "100 releases at once: all gone",
    question: "release",
    formula:
      "median over rounds of: all gone by forknet / the floor's deletion of 100 TAPs as one group",
    side: "at most",
    limit: 2,
    unit: "",
    measure: ({ toFloor }) => toFloor[100] && median(toFloor[100]),
  },
  {
    name: "wait of a VMM opening its TAP during 200 releases",
    question: "wait",
    formula: "the longest wait of all opens in all rounds",
    side: "at most",
    limit: 25,
    unit: "ms",
    measure: ({ longestMs }) => Math.max(...longestMs),
  },
  {
    name: "event-loop delay during a burst of 1000 forks, p99",
    question: "event-loop",
    formula:
      "the larger of cold and warm: median over rounds of the p99 that monitorEventLoopDelay(1 ms) gives",
    side: "at most",
    limit: 5,
    unit: "ms",
    measure: ({ p99Ms }) => Math.max(...Object.values(p99Ms)),
  },
  {
    name: "upload throughput with 1000 guests against 1",
    question: "data-path",
    formula:
      "median over rounds of: upload through forknet with 1000 guests' classes / alone, before and after",
    side: "at least",
    limit: 0.9,
    unit: "",
    measure: ({ manyToOne, sizes }) => (sizes[1] === 1000 ? median(manyToOne) : undefined),
  },
  {
    name: "TCP goodput against the rate, 3 mbit to 1 gbit, both ways",
    question: "goodput",
    formula: "the largest distance from 1 of: median over rounds of goodput / (rate x 1448/1514)",
    side: "at most",
    limit: 0.02,
    unit: "",
    measure: ({ worstDeviation }) => worstDeviation,
  },
  {
    name: "adopting 500 live guests at open",
    question: "adoption",
    formula: "median over rounds",
    side: "at most",
    limit: 250,
    unit: "ms",
    measure: ({ openMs }) => openMs[500] && median(openMs[500]),
  },
  {
    name: "RSS with 1000 guests",
    question: "memory",
    formula: "the largest of all rounds, in MB of 10^6 bytes",
    side: "at most",
    limit: 120,
    unit: "MB",
    measure: ({ rssMb }) => rssMb,
  },
];

/**
 * Holds a run against the budgets. Questions that were not asked are left out.
 * @param {Record<string, any>} results by question
 */
export function judge(results) {
  return budgets.flatMap(({ name, question, formula, side, limit, unit, measure }) => {
    const result = results[question];
    const value = result && measure(result);
    if (value === undefined) return [];
    const isMet = side === "at most" ? value <= limit : value >= limit;
    return [{ name, question, formula, side, limit, unit, value, isMet }];
  });
}
