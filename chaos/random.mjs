// Random choices that a seed repeats.

/** A generator of numbers from 0 to below 1 (mulberry32). @param {number} seed @returns {() => number} */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** @template T @param {() => number} random @param {readonly T[]} choices @returns {T} */
export function pick(random, choices) {
  return /** @type {T} */ (choices[Math.floor(random() * choices.length)]);
}

const RATES = [400_000, 700_000, 1_000_000, 1_500_000, 2_000_000];

/**
 * Limits under and over the base limit, in bits per second.
 * @param {() => number} random
 * @returns {{ download: number, upload: { rate: number, ceil: number } }}
 */
export function pickLimits(random) {
  const rate = pick(random, RATES);
  return { download: pick(random, RATES), upload: { rate, ceil: rate * pick(random, [1, 2]) } };
}
