// Whether a gauge is flat: a least-squares line through its samples, held against an allowance. Pure.

/**
 * @typedef {object} Line
 * @property {number} perThousand what the gauge rises in 1,000 cycles
 * @property {number} rise what it rises from the first sample to the last, along the line
 */

/**
 * @param {readonly number[]} xs cycles done, ascending, at least two different ones
 * @param {readonly number[]} ys
 * @returns {Line}
 */
export function fitLine(xs, ys) {
  const meanX = mean(xs);
  const meanY = mean(ys);
  let covariance = 0;
  let variance = 0;
  xs.forEach((x, i) => {
    covariance += (x - meanX) * ((ys[i] ?? Number.NaN) - meanY);
    variance += (x - meanX) ** 2;
  });
  const slope = covariance / variance;
  const span = /** @type {number} */ (xs.at(-1)) - /** @type {number} */ (xs[0]);
  return { perThousand: slope * 1000, rise: slope * span };
}

/**
 * What a gauge may rise by over the measured cycles: less than so many, or less than a share of its mean. One that goes
 * up and down by itself stays under a bound instead.
 * @typedef {{ less: number } | { share: number } | { bound: number }} Allowance
 */

/**
 * @param {readonly number[]} xs
 * @param {readonly number[]} ys
 * @param {Allowance} allowance
 */
export function judge(xs, ys, allowance) {
  const line = fitLine(xs, ys);
  if ("bound" in allowance)
    return { ...line, allowed: allowance.bound, isFlat: Math.max(...ys) < allowance.bound };
  const allowed = "share" in allowance ? mean(ys) * allowance.share : allowance.less;
  return { ...line, allowed, isFlat: line.rise < allowed };
}

/** @param {readonly number[]} values */
function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
