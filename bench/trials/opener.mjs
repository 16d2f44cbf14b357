// The other user of RTNL, as trials hold it: the process of bench/floor/opener.cc, and what it saw in a time window.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { monotonicMs } from "../../dist/clock.js";

const PERIOD_US = 2000;

/** @typedef {{ atMs: number[], waitMs: number[] }} Opens */

/**
 * Starts it in this namespace; resolves when it opens its TAP every other millisecond.
 * @param {string} program
 * @returns {Promise<{ stop: () => Promise<Opens> }>}
 */
export async function startOpener(program) {
  const child = spawn(program, [String(PERIOD_US)], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  await once(lines, "line");
  return {
    async stop() {
      const printed = once(lines, "line");
      child.stdin.end();
      const [line] = await printed;
      return JSON.parse(line);
    },
  };
}

/**
 * The waits of the opens that were under way between the two times of the monotonic clock.
 * @param {Opens} opens
 * @param {number} fromMs
 * @param {number} toMs
 */
export function waitsBetween({ atMs, waitMs }, fromMs, toMs) {
  return waitMs.filter((wait, i) => {
    const at = /** @type {number} */ (atMs[i]);
    return at < toMs && at + wait > fromMs;
  });
}

export { monotonicMs };
