// What every trial of forknet shares: its options, an open network, requests, and a pool that is known to be full.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { openNetwork } from "../../dist/index.js";

const POOL_MS = 30_000;
/** From a TAP being seen to its slot being ready. */
const SETTLE_MS = 60;
/** Made and removed together. */
export const WARM_UP_GUESTS = 50;

/** The options the harness handed over. @returns {any} */
export function trialOptions() {
  return JSON.parse(process.argv[2] ?? "{}");
}

/** The trial's one answer. @param {unknown} value */
export function answer(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/**
 * @param {{ stateDir: string, pool?: number, translate?: "guest" | "others" }} options
 * @returns {import("../../dist/index.js").NetworkOptions}
 */
export function networkOptions({ stateDir, pool = 0, translate }) {
  return {
    bridge: "vmbr0",
    subnet: "10.100.0.0/16",
    // The sum of guarantees is checked against it, and no trial is about that.
    uploadCapacity: "1tbit",
    pool: { size: pool },
    translate: translate !== undefined,
    stateDir,
  };
}

/**
 * Opens the network and waits until the pool is full.
 * @param {Parameters<typeof networkOptions>[0]} options
 */
export async function openTrial(options) {
  const network = await openNetwork(networkOptions(options));
  await untilTaps(options.pool ?? 0);
  return network;
}

/** A guest of the usual kind. @param {number | string} id */
export function request(id) {
  const upload = /** @type {const} */ ({ rate: "20mbit", ceil: "80mbit" });
  return {
    instanceId: `vm-${id}`,
    instanceName: `web-${id}`,
    download: /** @type {const} */ ("100mbit"),
    upload,
  };
}

/**
 * Waits until there are so many TAPs, and until the slots they belong to are ready.
 * @param {number} count
 */
export async function untilTaps(count) {
  const deadline = performance.now() + POOL_MS;
  while (countTaps() < count) {
    if (performance.now() > deadline)
      throw new Error(`Expected ${count} TAPs, but there are ${countTaps()}`);
    await sleep(5);
  }
  await sleep(SETTLE_MS);
}

/** Links of this namespace but for lo, the bridge and the shaper. */
function countTaps() {
  return readFileSync("/proc/self/net/dev", "utf8").trim().split("\n").length - 2 - 3;
}

/**
 * Forks guests and releases them, a few at a time: compiled code, started threads, classes to use again.
 * @param {import("../../dist/index.js").Network} network
 * @param {number} count
 * @param {number} pool
 */
export async function warmUp(network, count, pool) {
  for (let i = 0; i < count; ) {
    for (const end = Math.min(i + WARM_UP_GUESTS, count); i < end; i++) {
      const { shaped } = await network.createAllocation(request(`warm-up-${i}`));
      await shaped;
    }
    await releaseAll(network);
  }
  await untilTaps(pool);
}

/** @param {import("../../dist/index.js").Network} network */
export async function releaseAll(network) {
  await Promise.all(
    network.listAllocations().map(({ instanceId }) => network.releaseAllocation(instanceId)),
  );
}
