// The arithmetic of samples: percentiles, medians over rounds, curves for the charts. Pure.

/**
 * @typedef {object} Summary Of one set of samples, in their own unit.
 * @property {number} n
 * @property {number} min
 * @property {number} p50
 * @property {number} p95
 * @property {number} p99
 * @property {number} max
 * @property {number} mean
 */

const CURVE = [
  0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1,
];

/**
 * The sample below which the share `q` of all lies: nearest rank, so always one that was measured.
 * @param {readonly number[]} sorted ascending, not empty
 * @param {number} q 0 to 1
 */
export function quantile(sorted, q) {
  const rank = Math.max(Math.ceil(q * sorted.length), 1);
  return /** @type {number} */ (sorted[rank - 1]);
}

/**
 * @param {readonly number[]} samples not empty
 * @returns {Summary}
 */
export function summarize(samples) {
  const sorted = ascending(samples);
  return {
    n: sorted.length,
    min: rounded(quantile(sorted, 0)),
    p50: rounded(quantile(sorted, 0.5)),
    p95: rounded(quantile(sorted, 0.95)),
    p99: rounded(quantile(sorted, 0.99)),
    max: rounded(quantile(sorted, 1)),
    mean: rounded(sorted.reduce((sum, value) => sum + value, 0) / sorted.length),
  };
}

/**
 * The middle one; of an even number the mean of the middle two.
 * @param {readonly number[]} values not empty
 */
export function median(values) {
  const sorted = ascending(values);
  return (quantile(sorted, 0.5) + (sorted[Math.floor(sorted.length / 2)] ?? Number.NaN)) / 2;
}

/**
 * The distribution as a few points, for a chart.
 * @param {readonly number[]} samples not empty
 * @returns {{ share: number, value: number }[]}
 */
export function curve(samples) {
  const sorted = ascending(samples);
  return CURVE.map((share) => ({ share, value: rounded(quantile(sorted, share)) }));
}

/**
 * At most `most` of the values in order, the last among them.
 * @param {readonly number[]} values
 */
export function thinned(values, most = 60) {
  const sorted = ascending(values);
  const step = Math.max(Math.ceil(sorted.length / most), 1);
  return sorted
    .map((value, i) => ({ count: i + 1, value: rounded(value) }))
    .filter(({ count }) => (sorted.length - count) % step === 0);
}

/** Four digits that mean something. @param {number} value */
export function rounded(value) {
  return Number(value.toPrecision(4));
}

/** @param {readonly number[]} values */
function ascending(values) {
  if (values.length === 0) throw new Error("Expected samples, but there are none");
  return [...values].sort((a, b) => a - b);
}
