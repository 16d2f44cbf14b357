// Who runs when: every peer once a round, and every other round backwards, so that a drift of the machine meets all of
// them alike and ratios can be taken within a round.

/**
 * @template Result
 * @param {number} rounds
 * @param {Record<string, () => Promise<Result>>} peers
 * @returns {Promise<Record<string, Result[]>>} each peer's results, one a round
 */
export async function interleaved(rounds, peers) {
  const names = Object.keys(peers);
  /** @type {Record<string, Result[]>} */
  const results = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : [...names].reverse()) {
      const run = /** @type {() => Promise<Result>} */ (peers[name]);
      results[name]?.push(await run());
    }
  }
  return results;
}

/**
 * Ratios within each round: `above[i] / below[i]`.
 * @param {readonly number[]} above
 * @param {readonly number[]} below
 */
export function ratios(above, below) {
  return above.map((value, i) => value / /** @type {number} */ (below[i]));
}
