// Quantities as an operator reads them: rates, sizes, limits, and how limits are typed.

import { formatBandwidth } from "../bandwidth.js";
import type { Limits, UploadRequest } from "../limits.js";

const STEPS = ["", "k", "M", "G", "T"] as const;

/** Three digits and a unit in steps of 1000: "12.3 Mbit/s", "0 bit/s". */
export function formatRate(bitsPerSecond: number): string {
  return scaled(bitsPerSecond, "bit/s");
}

/** "1.50 MB" */
export function formatBytes(bytes: number): string {
  return scaled(bytes, "B");
}

function scaled(value: number, unit: string): string {
  let step = 0;
  let rest = value;
  // 999.5 would be shown with four digits.
  while (rest >= 999.5 && step < STEPS.length - 1) {
    rest /= 1000;
    step++;
  }
  if (step === 0) return `${Math.round(rest)} ${unit}`;
  const digits = rest < 9.995 ? 2 : rest < 99.95 ? 1 : 0;
  return `${rest.toFixed(digits)} ${STEPS[step]}${unit}`;
}

export function formatDownload({ download }: Limits): string {
  return download === null ? "max" : formatBandwidth(download);
}

/** "20mbit/80mbit": what is guaranteed and what can be borrowed up to. */
export function formatUpload({ upload }: Limits): string {
  return upload === null
    ? "max"
    : `${formatBandwidth(upload.rate)}/${formatBandwidth(upload.ceil)}`;
}

const UNLIMITED = new Set(["max", "unlimited", "none"]);

/** "50mbit", or "max". Units are checked by whoever sets the limit. */
export function readDownload(text: string): string | null {
  return UNLIMITED.has(text) ? null : text;
}

/** "20mbit", "20mbit/80mbit" (rate and ceil), or "max". */
export function readUpload(text: string): UploadRequest | null {
  if (UNLIMITED.has(text)) return null;
  const [rate = "", ...ceil] = text.split("/");
  return ceil.length === 0 ? rate : { rate, ceil: ceil.join("/") };
}
