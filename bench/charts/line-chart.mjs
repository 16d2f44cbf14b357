// Lines over an axis: bursts over time, latency or throughput over the number of guests.

import { colorOf } from "./colors.mjs";
import { linearScale, logScale } from "./scale.mjs";
import { dot, FAINT, INK, line, path, svg, text } from "./svg.mjs";

const WIDTH = 820;
const HEIGHT = 400;
const BOX = { left: 70, right: 540, top: 80, bottom: 350 };
const LEGEND_ROW = 20;

/**
 * @typedef {object} Axis
 * @property {string} label
 * @property {"log" | "linear"} kind
 * @property {(value: number) => string} format
 */

/**
 * @typedef {object} Series
 * @property {string} name decides the colour
 * @property {string} label in the legend
 * @property {boolean} [isDashed]
 * @property {boolean} [hasDots]
 * @property {{ x: number, y: number }[]} points
 */

/** @param {{ title: string, note: string, x: Axis, y: Axis, series: Series[] }} chart */
export function lineChart({ title, note, x, y, series }) {
  const points = series.flatMap((one) => one.points);
  const across = scaleOf(
    x,
    points.map((point) => point.x),
    BOX.left,
    BOX.right,
  );
  const up = scaleOf(
    y,
    points.map((point) => point.y),
    BOX.bottom,
    BOX.top,
  );
  const grid = [
    ...across.ticks.flatMap((tick) => [
      line(across.at(tick), BOX.top, across.at(tick), BOX.bottom, FAINT),
      text(across.at(tick), BOX.bottom + 18, x.format(tick), { anchor: "middle", size: 11 }),
    ]),
    ...up.ticks.flatMap((tick) => [
      line(BOX.left, up.at(tick), BOX.right, up.at(tick), FAINT),
      text(BOX.left - 8, up.at(tick) + 4, y.format(tick), { anchor: "end", size: 11 }),
    ]),
    line(BOX.left, BOX.bottom, BOX.right, BOX.bottom, INK),
    text((BOX.left + BOX.right) / 2, BOX.bottom + 38, x.label, { anchor: "middle" }),
    text(BOX.left - 54, BOX.top - 12, y.label, { size: 11 }),
  ];
  const lines = series.flatMap(({ name, isDashed, hasDots, points: own }, i) => {
    const color = colorOf(name);
    const places = own.map((point) => /** @type {const} */ ([across.at(point.x), up.at(point.y)]));
    const rowY = BOX.top + 8 + i * LEGEND_ROW;
    const key = /** @type {const} */ ([BOX.right + 18, BOX.right + 44]);
    return [
      path(places, color, isDashed),
      ...(hasDots ? places.map(([px, py]) => dot(px, py, color)) : []),
      path(
        [
          [key[0], rowY],
          [key[1], rowY],
        ],
        color,
        isDashed,
      ),
      text(key[1] + 8, rowY + 4, series[i]?.label ?? name, { size: 11 }),
    ];
  });
  return svg({ width: WIDTH, height: HEIGHT, title, note, parts: [...grid, ...lines] });
}

/**
 * @param {Axis} axis
 * @param {number[]} values
 * @param {number} from
 * @param {number} to
 */
function scaleOf(axis, values, from, to) {
  return axis.kind === "log" ? logScale(values, from, to) : linearScale(values, from, to);
}
