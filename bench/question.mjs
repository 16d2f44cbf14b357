// What a question is: a name, a title, and a run that gives a table for the reader and figures for budgets and charts.

/**
 * @typedef {object} Context What a question works with.
 * @property {<T>(sizes: { full: T, quick: T, tiny: T }) => T} pick the size for this run
 * @property {import("./peers.mjs").Peers} peers
 */

/**
 * @typedef {object} Question
 * @property {string} name for --only and in the result
 * @property {string} title
 * @property {(context: Context) => Promise<Result>} run
 */

/**
 * @typedef {{ how: string, table: Record<string, string | number>[] } & Record<string, any>} Result
 * `how` says what was measured; every row of `table` has the same columns.
 */

/**
 * @param {import("./options.mjs").Scale} scale
 * @param {import("./peers.mjs").Peers} peers
 * @returns {Context}
 */
export function contextOf(scale, peers) {
  return { pick: (sizes) => sizes[scale], peers };
}
