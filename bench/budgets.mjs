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
    formula: "median over rounds of: p50 of forknet cold / p50 of the floor",
    side: "at most",
    limit: 1.3,
    unit: "",
    measure: ({ coldToFloor }) => median(coldToFloor),
  },
  {
    name: "warm fork, one at a time",
    question: "fork",
    formula: "median over rounds of: p50 of forknet warm / p50 of the floor",
    side: "at most",
    limit: 0.1,
    unit: "",
    measure: ({ warmToFloor }) => median(warmToFloor),
  },
  {
    name: "100 forks at once, pool of 128: last one usable",
    question: "burst",
    formula: "median over rounds of: last usable of forknet warm / of the fastest variant of the usual way",
    side: "at most",
    limit: 1 / 50,
    unit: "",
    measure: ({ bySize }) => bySize[100]?.usableToUsual && median(bySize[100].usableToUsual),
  },
  {
    name: "100 forks at once, pool of 128: all shaped",
    question: "burst",
    formula: "median over rounds of: all shaped of forknet warm / of the fastest variant of the usual way",
    side: "at most",
    limit: 1 / 50,
    unit: "",
    measure: ({ bySize }) => bySize[100]?.shapedToUsual && median(bySize[100].shapedToUsual),
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
