// The command line of `npm run bench`.

import { parseArgs } from "node:util";

/** @typedef {"full" | "quick" | "tiny"} Scale */

/**
 * @typedef {object} Options
 * @property {Scale} scale "tiny" shows that every question still works; its figures mean nothing
 * @property {boolean} check
 * @property {boolean} report
 * @property {string[]} only names of questions, empty for all
 * @property {string | undefined} json where to write the result
 */

export const USAGE = `usage: npm run bench -- [--quick] [--check] [--report] [--only NAME]... [--json FILE]
  --quick       three minutes instead of twelve
  --tiny        every question once, to see that it works
  --check       exit with 1 when a budget is missed
  --report      write bench/results/: report.md, charts, latest.json
  --only NAME   this question only; may be given several times
  --json FILE   write the result there, too`;

/**
 * Throws an Error with the usage when something is wrong.
 * @param {string[]} args
 * @param {readonly string[]} names of the questions
 * @returns {Options}
 */
export function parseOptions(args, names) {
  const flag = /** @type {const} */ ({ type: "boolean", default: false });
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        quick: flag,
        tiny: flag,
        check: flag,
        report: flag,
        only: { type: "string", multiple: true, default: [] },
        json: { type: "string" },
      },
    }));
  } catch (error) {
    throw new Error(`${/** @type {Error} */ (error).message}\n${USAGE}`);
  }
  const unknown = values.only.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new Error(`Expected one of ${names.join(", ")} for --only, but received ${unknown}`);
  const { check, report, only, json } = values;
  const scale = values.tiny ? "tiny" : values.quick ? "quick" : "full";
  return { scale, check, report, only, json };
}
