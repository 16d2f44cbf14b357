// When the soak run calls a gauge flat: a leak of one in thousands of cycles is seen, noise is not.

import { describe, expect, test } from "vitest";
import { parseOptions } from "../../soak/options.mjs";
import { fitLine, judge } from "../../soak/slope.mjs";

const CYCLES = Array.from({ length: 80 }, (_, i) => 20_000 + 1000 * i);
const COUNT = { less: 0.5 };
const MEMORY = { share: 0.05 };

describe("fitLine", () => {
  test("finds slope and rise of points that lie on a line", () => {
    const { perThousand, rise } = fitLine([1000, 2000, 4000], [7, 9, 13]);
    expect(perThousand).toBeCloseTo(2);
    expect(rise).toBeCloseTo(6);
  });

  test("is level for points that do not change", () => {
    expect(
      fitLine(
        CYCLES,
        CYCLES.map(() => 43),
      ),
    ).toEqual({ perThousand: 0, rise: 0 });
  });
});

describe("judge", () => {
  test.each([
    ["one file in 50,000 cycles", (cycles: number) => 49 + Math.floor(cycles / 50_000)],
    ["one file, for good", (cycles: number) => (cycles < 60_000 ? 49 : 50)],
  ])("calls %s not flat", (_, gauge) => {
    expect(judge(CYCLES, CYCLES.map(gauge), COUNT).isFlat).toBe(false);
  });

  test("calls a count that was off once flat, and one that falls", () => {
    const offOnce = CYCLES.map((_, i) => (i === 40 ? 48 : 49));
    expect(judge(CYCLES, offOnce, COUNT).isFlat).toBe(true);
    expect(
      judge(
        CYCLES,
        CYCLES.map((_, i) => 200 - i),
        COUNT,
      ).isFlat,
    ).toBe(true);
  });

  test("allows memory a share of its mean", () => {
    const breathing = (perCycle: number) =>
      CYCLES.map((cycles, i) => 100e6 + perCycle * cycles + 4e6 * Math.sin(i));
    expect(judge(CYCLES, breathing(0), MEMORY).isFlat).toBe(true);
    expect(judge(CYCLES, breathing(100), MEMORY)).toMatchObject({ isFlat: false });
  });
});

test("a gauge that goes up and down by itself only has to stay under its bound", () => {
  const sawtooth = CYCLES.map((_, i) => (i % 7) * 20_000);
  expect(judge(CYCLES, sawtooth, { bound: 130_000 }).isFlat).toBe(true);
  expect(judge(CYCLES, sawtooth, { bound: 120_000 }).isFlat).toBe(false);
});

describe("the command line", () => {
  test("has a default for everything", () => {
    expect(parseOptions([])).toEqual({ cycles: 100_000, seed: 1, report: false });
  });

  test.each([
    [
      ["--cycles", "999"],
      "Expected a whole number of at least 1000 for --cycles, but received 999",
    ],
    [["--seed", "x"], "Expected a whole number of at least 0 for --seed, but received x"],
    [["--faster"], "usage: npm run soak"],
  ])("refuses %j", (args, words) => {
    expect(() => parseOptions(args)).toThrow(words);
  });
});
