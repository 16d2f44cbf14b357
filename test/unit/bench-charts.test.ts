// The benchmark's pictures: scales that hold every value, and SVG that a parser takes.

import { expect, test } from "vitest";
import { lineChart } from "../../bench/charts/line-chart.mjs";
import { rangeChart } from "../../bench/charts/range-chart.mjs";
import { formatUs, linearScale, logScale } from "../../bench/charts/scale.mjs";
import { curve } from "../../bench/statistics.mjs";

test("ends a logarithmic axis at whole powers of ten", () => {
  const { at, ticks } = logScale([3, 250], 0, 300);
  expect(ticks).toEqual([1, 10, 100, 1000]);
  expect([at(1), at(10), at(1000)]).toEqual([0, 100, 300]);
  expect(at(0)).toBe(0);
});

test("starts a linear axis at nought and gives it few ticks", () => {
  for (const most of [1, 7, 12, 99, 100, 1000]) {
    const { at, ticks } = linearScale([most], 0, 100);
    expect(ticks[0]).toBe(0);
    expect(ticks.at(-1)).toBeGreaterThanOrEqual(most);
    expect(ticks.length).toBeLessThanOrEqual(8);
    expect(at(most)).toBeLessThanOrEqual(100);
  }
});

test("says times as a reader does", () => {
  expect([0.6, 14.55, 999, 1000, 23_400, 2.5e6].map(formatUs)).toEqual([
    "0.6 us",
    "15 us",
    "999 us",
    "1 ms",
    "23 ms",
    "2.5 s",
  ]);
});

test("draws a row for each distribution, names escaped", () => {
  const picture = rangeChart({
    title: "a < b",
    note: "n",
    rows: [{ name: "x & y", curve: curve([1, 10, 100]) }],
  });
  expect(picture).toContain("a &lt; b");
  expect(picture).toContain("x &amp; y");
  expect(picture).not.toContain("NaN");
  expect(picture.startsWith("<svg")).toBe(true);
});

test("draws a line for each series", () => {
  const axis = { label: "guests", kind: "linear", format: String } as const;
  const points = [
    { x: 0, y: 1 },
    { x: 1000, y: 9 },
  ];
  const series = [{ name: "floor", label: "floor", points }];
  const picture = lineChart({ title: "t", note: "n", x: axis, y: axis, series });
  expect(picture.match(/<path/g)).toHaveLength(2);
  expect(picture).not.toContain("NaN");
});
