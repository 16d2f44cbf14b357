// This boot of the machine and its clock: what ages are told by. A step of the wall clock does not
// move it, it counts through suspends (Node's monotonic clock does not), and it starts anew where
// everything that the kernel holds does. A time namespace may shift it; ages that come out of two of
// them are wrong, and an age from the future is none yet.

import { readFileSync } from "node:fs";
import { loadAddon } from "./addon.js";

/** Milliseconds of CLOCK_BOOTTIME; a fifth of a microsecond. */
export function bootMs(): number {
  return loadAddon().bootMs();
}

let id: string | undefined;

/** Of this boot and no other; "" where the kernel does not tell. */
export function bootId(): string {
  id ??= readBootId();
  return id;
}

function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}
