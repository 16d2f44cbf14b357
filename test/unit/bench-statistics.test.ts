// The benchmark's arithmetic: percentiles that were measured, medians, and order within rounds.

import { expect, test } from "vitest";
import { interleaved, ratios } from "../../bench/rounds.mjs";
import { curve, median, quantile, summarize, thinned } from "../../bench/statistics.mjs";

test("gives percentiles by nearest rank, so that each was measured", () => {
  const samples = Array.from({ length: 200 }, (_, i) => 200 - i);
  expect(summarize(samples)).toEqual({
    n: 200,
    min: 1,
    p50: 100,
    p95: 190,
    p99: 198,
    max: 200,
    mean: 100.5,
  });
  expect(summarize([7])).toEqual({ n: 1, min: 7, p50: 7, p95: 7, p99: 7, max: 7, mean: 7 });
  expect(quantile([1, 2, 3], 0)).toBe(1);
  expect(quantile([1, 2, 3], 1)).toBe(3);
});

test("sorts by value and not by digits, and leaves its input alone", () => {
  const samples = [10, 9, 1];
  expect(median(samples)).toBe(9);
  expect(samples).toEqual([10, 9, 1]);
});

test("takes the mean of the middle two as the median of an even number", () => {
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([5])).toBe(5);
});

test("refuses to summarise nothing", () => {
  expect(() => summarize([])).toThrow("Expected samples, but there are none");
});

test("keeps the first and the last of a distribution, and the end of a timeline", () => {
  const samples = Array.from({ length: 1000 }, (_, i) => i + 1);
  expect(curve(samples)[0]).toEqual({ share: 0, value: 1 });
  expect(curve(samples).at(-1)).toEqual({ share: 1, value: 1000 });
  const few = thinned(samples, 60);
  expect(few.length).toBeLessThanOrEqual(60);
  expect(few.at(-1)).toEqual({ count: 1000, value: 1000 });
});

test("runs every peer once a round, and every other round backwards", async () => {
  const order: string[] = [];
  const peer = (name: string) => async () => order.push(name);
  const results = await interleaved(3, { a: peer("a"), b: peer("b"), c: peer("c") });
  expect(order.join("")).toBe("abccbaabc");
  expect(results).toEqual({ a: [1, 6, 7], b: [2, 5, 8], c: [3, 4, 9] });
});

test("takes ratios within a round", () => {
  expect(ratios([2, 9], [1, 3])).toEqual([2, 3]);
});
