// The command line of `npm run soak`.

import { parseArgs } from "node:util";

/**
 * @typedef {object} Options
 * @property {number} cycles
 * @property {number} seed of the mix of work
 * @property {boolean} report write docs/soak.md
 */

export const USAGE = `usage: npm run soak -- [--cycles N] [--seed N] [--report]
  --cycles N   fork/release cycles, default 100000
  --seed N     of the mix of work, default 1
  --report     write docs/soak.md`;

/** Fewer would leave too few samples behind the warm-up. */
const FEWEST_CYCLES = 1000;

/**
 * Throws an Error with the usage when something is wrong.
 * @param {string[]} args
 * @returns {Options}
 */
export function parseOptions(args) {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        cycles: { type: "string", default: "100000" },
        seed: { type: "string", default: "1" },
        report: { type: "boolean", default: false },
      },
    }));
  } catch (error) {
    throw new Error(`${/** @type {Error} */ (error).message}\n${USAGE}`);
  }
  return {
    cycles: wholeNumber(values.cycles, "--cycles", FEWEST_CYCLES),
    seed: wholeNumber(values.seed, "--seed", 0),
    report: values.report,
  };
}

/**
 * @param {string} text
 * @param {string} option
 * @param {number} least
 */
function wholeNumber(text, option, least) {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new Error(
    `Expected a whole number of at least ${least} for ${option}, but received ${text}`,
  );
}
