// The arithmetic between what a request asks for and what TBF and HTB are told, at its edges.

import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import { UNLIMITED } from "../../src/bandwidth.js";
import {
  baseLimits,
  guaranteedUpload,
  htbBucket,
  resolveLimits,
  sameLimits,
  toKernelLimits,
} from "../../src/limits.js";

const DEFAULTS = {
  uploadBurstMultiplier: 4,
  downloadBurstMultiplier: 4,
  downloadLatencyMs: 50,
  uploadLatencyMs: 50,
  mtu: 1500,
  baseLimit: 10e6,
};
const LARGEST_U32 = 0xffffffff;
const LARGEST = Number.MAX_SAFE_INTEGER;
/**
 * The edges: one byte a second, the rate where 32 bits end, unlimited, and what a number can hold.
 */
const EDGES = [8, 1e6, 2 ** 32 * 8 - 8, 2 ** 32 * 8, 100e9, LARGEST];

const bits = fc.oneof(fc.integer({ min: 8, max: LARGEST }), fc.constantFrom(...EDGES));
const defaults = fc.record({
  uploadBurstMultiplier: fc.double({ min: 1, max: 1000, noNaN: true }),
  downloadBurstMultiplier: fc.double({ min: 1, max: 1000, noNaN: true }),
  downloadLatencyMs: fc.double({ min: 1, max: 10_000, noNaN: true }),
  uploadLatencyMs: fc.double({ min: 1, max: 10_000, noNaN: true }),
  mtu: fc.integer({ min: 68, max: 65_521 }),
  baseLimit: bits,
});

describe("toKernelLimits", () => {
  test.each([
    [8, { rate: 1, burstBytes: 1540, limitBytes: 6056 }],
    [1e6, { rate: 125_000, burstBytes: 2000, limitBytes: 6250 }],
    [2 ** 32 * 8, { rate: 2 ** 32, burstBytes: 68_719_477, limitBytes: 214_748_365 }],
    [100e9, { rate: 12.5e9, burstBytes: 200_000_000, limitBytes: 625_000_000 }],
    [LARGEST, { rate: 1_125_899_906_842_623, burstBytes: LARGEST_U32, limitBytes: LARGEST_U32 }],
  ])("tells TBF of a download of %d bit/s", (download, expected) => {
    expect(toKernelLimits({ download, upload: null }, DEFAULTS).tbf).toEqual(expected);
  });

  test("tells HTB of an upload", () => {
    const limits = { download: null, upload: { rate: 20e6, ceil: 80e6 } };
    expect(toKernelLimits(limits, DEFAULTS).htb).toEqual({
      rate: 2_500_000,
      ceil: 10_000_000,
      burstBytes: 11_540,
      cburstBytes: 41_540,
      leaf: { rate: 1e15, burstBytes: 1540, limitBytes: 125_000 },
    });
  });

  test.each([
    ["cuts frames of a slow guest", 128e3, 128e3, { rate: 1e15, limitBytes: 6056 }],
    ["holds what the rate carries in 50 ms", 10e6, 40e6, { rate: 1e15, limitBytes: 62_500 }],
    ["cuts up to a ceil of 100 mbit", 20e6, 100e6, { rate: 1e15, limitBytes: 125_000 }],
    ["holds what a far ceil carries in 5 ms", 1e6, 60e6, { rate: 1e15, limitBytes: 37_500 }],
    ["holds two whole frames beyond", 20e6, 100e6 + 8, { rate: 2e15, limitBytes: 139_288 }],
    ["cuts nothing where two have room", 100e6, 100e6, { rate: 2e15, limitBytes: 625_000 }],
  ])("%s", (_, rate, ceil, expected) => {
    const limits = { download: null, upload: { rate, ceil } };
    expect(toKernelLimits(limits, DEFAULTS).htb.leaf).toMatchObject(expected);
  });

  test("makes unlimited a rate no host reaches, and guarantees the base limit", () => {
    const { tbf, htb } = toKernelLimits({ download: null, upload: null }, DEFAULTS);
    expect([tbf.rate, htb.rate, htb.ceil]).toEqual([UNLIMITED / 8, 10e6 / 8, UNLIMITED / 8]);
  });

  test("keeps ceil at or over rate when the base limit is over unlimited", () => {
    const { htb } = toKernelLimits(
      { download: null, upload: null },
      { ...DEFAULTS, baseLimit: LARGEST },
    );
    expect(htb.ceil).toBeGreaterThanOrEqual(htb.rate);
  });

  test.prop([bits, bits, bits, defaults])(
    "never gives more than was asked, nor what a field cannot hold",
    (download, a, b, given) => {
      const upload = { rate: Math.min(a, b), ceil: Math.max(a, b) };
      const { tbf, htb } = toKernelLimits({ download, upload }, given);
      expect(BigInt(tbf.rate) * 8n).toBeLessThanOrEqual(BigInt(download));
      expect(BigInt(htb.rate) * 8n).toBeLessThanOrEqual(BigInt(upload.rate));
      expect(BigInt(htb.ceil) * 8n).toBeLessThanOrEqual(BigInt(upload.ceil));
      expect(Math.min(tbf.rate, htb.rate)).toBeGreaterThanOrEqual(1);
      expect(htb.ceil).toBeGreaterThanOrEqual(htb.rate);
      const fields = [
        tbf.burstBytes,
        tbf.limitBytes,
        htb.burstBytes,
        htb.cburstBytes,
        htb.leaf.burstBytes,
        htb.leaf.limitBytes,
      ];
      for (const field of fields) {
        expect(Number.isInteger(field)).toBe(true);
        expect(field).toBeLessThanOrEqual(LARGEST_U32);
        expect(field).toBeGreaterThanOrEqual(1540);
      }
      // The longest frame that is not cut has room.
      for (const { burstBytes, limitBytes } of [tbf, htb.leaf])
        expect(limitBytes).toBeGreaterThanOrEqual(Math.min(burstBytes, 2 * 65_536));
    },
  );

  test.prop([bits, bits])("gives more for more", (a, b) => {
    const [less, more] = [Math.min(a, b), Math.max(a, b)].map(
      (download) => toKernelLimits({ download, upload: null }, DEFAULTS).tbf,
    );
    for (const field of ["rate", "burstBytes", "limitBytes"] as const)
      expect(less?.[field]).toBeLessThanOrEqual(more?.[field] ?? 0);
  });

  test("has room for the MTU's frame where the rate has none, and tells the leaf's bucket in its rate", () => {
    const slow = { download: 8, upload: { rate: 8, ceil: 8 } };
    const of = (mtu: number) => toKernelLimits(slow, { ...DEFAULTS, mtu });
    expect(of(9000).tbf).toEqual({ rate: 1, burstBytes: 9040, limitBytes: 2 * 9014 });
    expect(of(9000).htb.leaf).toEqual({
      rate: 1e15 + 7500,
      burstBytes: 9040,
      limitBytes: 2 * 9014,
    });
    expect(of(1400)).toEqual(of(1500));
  });

  test.prop([fc.integer({ min: 0, max: 2 ** 50 })])(
    "gives HTB a bucket of a tick and a frame",
    (rate) => {
      expect(htbBucket(rate)).toBe(Math.min(Math.ceil(rate / 250) + 1540, LARGEST_U32));
    },
  );
});

describe("resolveLimits", () => {
  test("multiplies the rate where no ceil is given", () => {
    expect(resolveLimits({ upload: "20mbit" }, 4).upload).toEqual({ rate: 20e6, ceil: 80e6 });
    expect(resolveLimits({ upload: { rate: "20mbit" } }, 1.5).upload).toEqual({
      rate: 20e6,
      ceil: 30e6,
    });
    expect(resolveLimits({ upload: { rate: 9, ceil: 9 } }, 4).upload).toEqual({ rate: 9, ceil: 9 });
    expect(resolveLimits({ upload: LARGEST }, 1000).upload).toEqual({
      rate: LARGEST,
      ceil: LARGEST,
    });
  });

  test("takes what is left out as unlimited", () => {
    expect(resolveLimits({}, 4)).toEqual({ download: null, upload: null });
    const none = { download: null, upload: null };
    expect(resolveLimits(none, 4)).toEqual(none);
  });

  test.each([
    [
      { upload: { rate: "2mbit", ceil: "1mbit" } },
      "at least upload.rate (2000000) for upload.ceil, but received '1mbit'",
    ],
    [
      { upload: { rate: "2mbit", cell: 1 } },
      "only rate and ceil for upload, but received { rate: '2mbit', cell: 1 }",
    ],
    [{ upload: {} }, "for upload.rate, but received undefined"],
    [{ upload: { rate: "10mbps" } }, "write \"mbit\") for upload.rate, but received '10mbps'"],
    [{ upload: { rate: 8, ceil: 0 } }, "for upload.ceil, but received 0"],
    [{ download: {} }, "for download, but received {}"],
  ])("refuses %o", (request, message) => {
    const resolve = () => resolveLimits(request as Parameters<typeof resolveLimits>[0], 4);
    expect(resolve).toThrow(
      expect.objectContaining({
        code: "ERR_FORKNET_CONFIG",
        message: expect.stringContaining(message),
      }),
    );
  });
});

describe("comparing", () => {
  const limits = { download: 1e6, upload: { rate: 2e6, ceil: 4e6 } };

  test("sees every difference", () => {
    expect(sameLimits(limits, structuredClone(limits))).toBe(true);
    expect(sameLimits({ download: null, upload: null }, { download: null, upload: null })).toBe(
      true,
    );
    for (const other of [
      { ...limits, download: null },
      { ...limits, upload: null },
      { ...limits, upload: { rate: 2e6, ceil: 5e6 } },
      { ...limits, upload: { rate: 1e6, ceil: 4e6 } },
    ]) {
      expect(sameLimits(limits, other)).toBe(false);
    }
  });

  test("guarantees the rate, or the base limit", () => {
    expect(guaranteedUpload(limits, 10e6)).toBe(2e6);
    expect(guaranteedUpload({ ...limits, upload: null }, 10e6)).toBe(10e6);
    expect(baseLimits(10e6)).toEqual({ download: 10e6, upload: { rate: 10e6, ceil: 10e6 } });
  });
});
