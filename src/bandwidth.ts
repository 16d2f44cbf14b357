// Bandwidth as users write it, and the one place where bits become bytes.
// Shapes of limits live in limits.ts; ticks are made in the addon.

import { configError } from "./errors.js";

/**
 * Bits per second, or a string such as "100mbit" (bit, kbit, mbit, gbit, tbit; steps of 1000; whole
 * numbers).
 */
export type Bandwidth = number | string;

/** A whole number of bits per second. */
export type BitsPerSecond = number;
/** A whole number of bytes per second, the unit of HTB and TBF. */
export type BytesPerSecond = number;

const UNIT: Record<string, number> = { "": 1, bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9, tbit: 1e12 };
const EXPECTED = 'bits per second as a positive whole number or a string like "100mbit"';
/**
 * tc reads these as bytes per second; a user who writes them means one or the other, and guessing
 * is 8 times wrong.
 */
const BYTE_UNITS = /^\d+(?:\.\d+)?\s*[kmgt]?(?:bps|ibps|b\/s)$/i;

/** Below one byte per second there is nothing the kernel could count. */
const SMALLEST_BITS = 8;

/**
 * "Unlimited" is a rate no host reaches: it switches to and from a real limit as a change, without
 * loss.
 */
export const UNLIMITED: BitsPerSecond = 100e9;

/**
 * Reads a bandwidth. Refuses zero, negatives, fractions, anything over 2^53 - 1, under 8 bits per
 * second, and the byte units that tc calls `mbps`, each with ERR_FORKNET_CONFIG naming `option`.
 */
export function parseBandwidth(value: unknown, option: string): BitsPerSecond {
  const bits = typeof value === "string" ? parseText(value, option) : value;
  if (typeof bits !== "number" || !Number.isSafeInteger(bits) || bits <= 0) {
    throw configError(option, EXPECTED, value);
  }
  if (bits < SMALLEST_BITS)
    throw configError(option, `at least ${SMALLEST_BITS} bits per second`, value);
  return bits;
}

function parseText(value: string, option: string): number {
  const match = /^(\d+)(|bit|kbit|mbit|gbit|tbit)$/.exec(value);
  if (match) return Number(match[1]) * (UNIT[match[2] as string] as number);
  const hint = BYTE_UNITS.test(value) ? ' (tc reads "mbps" as megabytes; write "mbit")' : "";
  throw configError(option, `${EXPECTED}${hint}`, value);
}

/** The shortest exact spelling: 20000000 is "20mbit", 1500 is "1500bit". */
export function formatBandwidth(bits: BitsPerSecond): string {
  for (const unit of ["tbit", "gbit", "mbit", "kbit"] as const) {
    const step = UNIT[unit] as number;
    if (bits >= step && bits % step === 0) return `${bits / step}${unit}`;
  }
  return `${bits}bit`;
}

/** Rounds down, so that a guest never gets more than was asked for. */
export function toBytesPerSecond(bits: BitsPerSecond): BytesPerSecond {
  return Math.floor(bits / 8);
}

/** What toBytesPerSecond gives this for. */
export function toBitsPerSecond(bytes: BytesPerSecond): BitsPerSecond {
  return bytes * 8;
}
