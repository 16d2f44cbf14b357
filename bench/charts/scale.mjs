// From a value to a place on an axis, linear or logarithmic, and where its ticks stand. Pure.

/**
 * @typedef {object} Scale
 * @property {(value: number) => number} at the place of a value; values outside are moved to the end
 * @property {number[]} ticks
 */

/**
 * @param {readonly number[]} values that must fit; for a logarithmic scale those above 0 count
 * @param {number} from place of the lowest
 * @param {number} to place of the highest
 * @returns {Scale}
 */
export function logScale(values, from, to) {
  const positive = values.filter((value) => value > 0);
  const low = Math.floor(Math.log10(Math.min(...positive)));
  const high = Math.max(Math.ceil(Math.log10(Math.max(...positive))), low + 1);
  const at = (/** @type {number} */ value) => {
    const share = (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low);
    return from + Math.min(share, 1) * (to - from);
  };
  return { at, ticks: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)) };
}

/**
 * Starts at 0.
 * @param {readonly number[]} values
 * @param {number} from
 * @param {number} to
 * @returns {Scale}
 */
export function linearScale(values, from, to) {
  const most = Math.max(...values);
  const magnitude = 10 ** Math.floor(Math.log10(most));
  const step =
    [0.2, 0.5, 1, 2].map((share) => share * magnitude).find((size) => most / size <= 6) ??
    magnitude;
  const top = Math.ceil(most / step) * step;
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, i) =>
    Number((i * step).toPrecision(6)),
  );
  return { at: (value) => from + (Math.min(Math.max(value, 0), top) / top) * (to - from), ticks };
}

/** Microseconds as a reader says them. @param {number} us */
export function formatUs(us) {
  if (us >= 1e6) return `${short(us / 1e6)} s`;
  return us >= 1000 ? `${short(us / 1000)} ms` : `${short(us)} us`;
}

/** @param {number} value */
export function short(value) {
  return String(Number(value.toPrecision(value >= 100 ? 3 : 2)));
}
