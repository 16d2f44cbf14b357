// Bandwidth as text and number: what is read, what is refused and how it is told, and the way back.

import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import { formatBandwidth, parseBandwidth, toBytesPerSecond } from "../../src/bandwidth.js";
import { ForknetError } from "../../src/errors.js";

const bits = fc.oneof(
  fc.integer({ min: 8, max: Number.MAX_SAFE_INTEGER }),
  fc.integer({ min: 1, max: 9000 }).map((n) => n * 1e9),
);

describe("parseBandwidth", () => {
  test.each([
    ["8bit", 8],
    ["64kbit", 64_000],
    ["100mbit", 100e6],
    ["10gbit", 10e9],
    ["1tbit", 1e12],
    ["8", 8],
    [8, 8],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    [String(Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER],
    ["0100mbit", 100e6],
  ])("reads %j", (value, expected) => {
    expect(parseBandwidth(value, "download")).toBe(expected);
  });

  test.each([
    0,
    -1,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    7,
    "7bit",
    "0",
    "0mbit",
    "-1mbit",
    "1.5mbit",
    "",
    " 1mbit",
    "1mbit ",
    "1 mbit",
    "1Mbit",
    "1MBIT",
    "mbit",
    "1e6",
    "0x10",
    "10mbit\n",
    "1mibit",
    "9007199254740992",
    "9008tbit",
    null,
    undefined,
    true,
    10n,
    {},
    ["1mbit"],
  ])("refuses %o", (value) => {
    expect(() => parseBandwidth(value, "upload.rate")).toThrow(
      expect.objectContaining({
        code: "ERR_FORKNET_CONFIG",
        message: expect.stringMatching(/^Expected .* for upload\.rate, but received /),
      }),
    );
  });

  test.each(["10mbps", "10MBps", "1kbps", "10 mbps", "1gibps", "5mb/s", "10bps"])(
    "refuses %s by name",
    (value) => {
      expect(() => parseBandwidth(value, "download")).toThrow(
        /tc reads "mbps" as megabytes; write "mbit"/,
      );
    },
  );

  test("says what it got", () => {
    const message =
      "Expected bits per second as a positive whole number or a string like \"100mbit\" for download, but received 'fast'";
    expect(() => parseBandwidth("fast", "download")).toThrow(
      new ForknetError("ERR_FORKNET_CONFIG", message),
    );
  });

  test.prop([fc.string()])("reads text as a positive whole number or refuses it", (text) => {
    let read: number;
    try {
      read = parseBandwidth(text, "download");
    } catch (error) {
      expect(error).toBeInstanceOf(ForknetError);
      return;
    }
    expect(text).toMatch(/^\d+([kmgt]?bit)?$/);
    expect(read).toBeGreaterThanOrEqual(8);
  });
});

describe("formatBandwidth", () => {
  test.each([
    [20e6, "20mbit"],
    [1500, "1500bit"],
    [8, "8bit"],
    [1000, "1kbit"],
    [1_000_001, "1000001bit"],
    [1e12, "1tbit"],
    [Number.MAX_SAFE_INTEGER, "9007199254740991bit"],
  ])("writes %d as %s", (value, expected) => {
    expect(formatBandwidth(value)).toBe(expected);
  });

  test.prop([bits])("is read back as it was", (value) => {
    expect(parseBandwidth(formatBandwidth(value), "download")).toBe(value);
  });
});

describe("toBytesPerSecond", () => {
  test.prop([bits])(
    "never gives more than was asked for, and less than a byte too little",
    (value) => {
      const bytes = toBytesPerSecond(value);
      expect(Number.isSafeInteger(bytes)).toBe(true);
      expect(BigInt(bytes) * 8n).toBeLessThanOrEqual(BigInt(value));
      expect(BigInt(bytes + 1) * 8n).toBeGreaterThan(BigInt(value));
    },
  );
});
