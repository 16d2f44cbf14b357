// The receiver's arithmetic: what counts as warm-up, and what a measurement without arrivals reads.

import { describe, expect, it } from "vitest";
import { GoodputMeter } from "../../src/stand-in/goodput.js";

const MS = 1_000_000n;

describe("GoodputMeter", () => {
  it("leaves out the warm-up and the chunk that opens the measurement", () => {
    const meter = new GoodputMeter(1000);
    meter.add(1_000_000, 5_000n * MS);
    meter.add(1_000_000, 5_999n * MS);
    meter.add(500, 6_000n * MS);
    meter.add(1000, 6_500n * MS);
    meter.add(1000, 7_000n * MS);
    expect(meter.read()).toEqual({ bitsPerSecond: 16_000, bytes: 2000, seconds: 1 });
    expect(meter.totalBytes).toBe(2_002_500);
  });

  it("ends with the last arrival, not with the time of reading", () => {
    const meter = new GoodputMeter(0);
    meter.add(1, 0n);
    meter.add(125, 1n * MS);
    expect(meter.read().bitsPerSecond).toBe(1_000_000);
  });

  it.each([
    ["nothing", []],
    ["one chunk", [0n]],
    ["two chunks at once", [0n, 0n]],
  ])("reads 0 after %s", (_, arrivals) => {
    const meter = new GoodputMeter(0);
    for (const atNs of arrivals) meter.add(100, atNs);
    expect(meter.read().bitsPerSecond).toBe(0);
  });
});
