// Distributions side by side: a row for each, from its fastest to its slowest on a logarithmic axis. The bar holds nine
// tenths (p5 to p95), the dot is the median.

import { colorOf } from "./colors.mjs";
import { formatUs, logScale } from "./scale.mjs";
import { dot, FAINT, line, svg, text } from "./svg.mjs";

const WIDTH = 820;
const ROW = 30;
const TOP = 62;
const AXIS = 34;
const LABELS = 250;
const BAR = 9;

/**
 * @param {{ title: string, note: string, rows: { name: string, curve: { share: number, value: number }[] }[] }} chart
 *   values in microseconds
 */
export function rangeChart({ title, note, rows }) {
  const height = TOP + rows.length * ROW + AXIS;
  const bottom = TOP + rows.length * ROW;
  const scale = logScale(
    rows.flatMap(({ curve }) => curve.map(({ value }) => value)),
    LABELS,
    WIDTH - 40,
  );
  const ticks = scale.ticks.flatMap((tick) => [
    line(scale.at(tick), TOP - 6, scale.at(tick), bottom, FAINT),
    text(scale.at(tick), bottom + 18, formatUs(tick), { anchor: "middle", size: 11 }),
  ]);
  const parts = rows.flatMap(({ name, curve }, i) => {
    const y = TOP + i * ROW + ROW / 2;
    const color = colorOf(name);
    const at = (/** @type {number} */ share) => scale.at(valueAt(curve, share));
    const p50 = valueAt(curve, 0.5);
    return [
      text(LABELS - 12, y + 4, name, { anchor: "end" }),
      line(at(0), y, at(1), y, color, 1.5),
      `<g opacity="0.45">${line(at(0.05), y, at(0.95), y, color, BAR)}</g>`,
      dot(scale.at(p50), y, color, 5),
      text(scale.at(p50), y - 8, formatUs(p50), { anchor: "middle", size: 10 }),
    ];
  });
  return svg({ width: WIDTH, height, title, note, parts: [...ticks, ...parts] });
}

/**
 * @param {readonly { share: number, value: number }[]} curve
 * @param {number} share
 */
function valueAt(curve, share) {
  return curve.find((point) => point.share >= share)?.value ?? Number.NaN;
}
