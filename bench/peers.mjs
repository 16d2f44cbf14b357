// Everybody who is measured, and how to run each. Names as they stand in the report.

import { fileURLToPath } from "node:url";
import { runNodeTrial, runTrial } from "./trial.mjs";

/**
 * What the trials of forknet are made with. `pool`: more slots than a burst of 100 takes. `largestPool`: the most that
 * openNetwork allows. `warmUps`: forks before those that count, as of an agent that has run for two minutes; the
 * compiler has settled by then (with 24 a warm fork costs half more).
 */
const SETTINGS = { pool: 128, largestPool: 512, warmUps: 600 };
const TINY_SETTINGS = { pool: 8, largestPool: 8, warmUps: 1 };

export const PEER = /** @type {const} */ ({
  floor: "floor",
  floorFull: "floor, as much as forknet does",
  plan: "forknet's plan by the caller",
  cold: "forknet cold",
  warm: "forknet warm",
  owned: "forknet warm, given to an owner",
  inline: "usual way, in-line",
  deferred: "usual way, deferred",
  bounded: "usual way, deferred by 4 workers",
  iproute2: "ip and tc from Node",
});

/** Variants of the usual way: what it does when, and how many tc processes run side by side. */
const USUAL = {
  [PEER.inline]: ["-shaping", "inline"],
  [PEER.deferred]: ["-shaping", "deferred"],
  [PEER.bounded]: ["-shaping", "deferred", "-workers", "4"],
};

export class Peers {
  /**
   * @param {import("./programs.mjs").Programs} programs
   * @param {import("./options.mjs").Scale} scale
   */
  constructor(programs, scale) {
    this.programs = programs;
    const { pool, largestPool, warmUps } = scale === "tiny" ? TINY_SETTINGS : SETTINGS;
    this.pool = pool;
    this.largestPool = largestPool;
    this.warmUps = warmUps;
  }

  /** False when Go or its library is missing. */
  get hasUsual() {
    return this.programs.usual !== undefined;
  }

  /**
   * The kernel's floor: makes n slots `paceMs` apart, deletes `one` of them alone and the rest as a group.
   * @param {"bare" | "full"} order
   * @param {number} n
   * @returns {Promise<{ coldUs: number[], armUs: number[], reshapeUs: number[], deleteOneUs: number[],
   *   deleteGroupMs: number, grouped: number }>}
   */
  floor(order, n, { one = 0, paceMs = 0 } = {}) {
    return runTrial([this.programs.floor, order, String(n), String(one), String(paceMs * 1000)]);
  }

  /**
   * @param {string} variant one of USUAL
   * @param {{ n: number, oneByOne?: boolean, release?: number }} options
   * @returns {Promise<{ usableMs: number[], shapedMs: number[], releaseMs: number[] }>}
   */
  usual(variant, { n, oneByOne = false, release = 0 }) {
    const program = /** @type {string} */ (this.programs.usual);
    const how = /** @type {string[]} */ (USUAL[/** @type {keyof typeof USUAL} */ (variant)]);
    return runTrial([
      program,
      ...how,
      "-n",
      String(n),
      "-release",
      String(release),
      ...(oneByOne ? ["-one"] : []),
    ]);
  }

  /**
   * @param {{ n: number, oneByOne?: boolean }} options
   * @returns {Promise<{ usableMs: number[], shapedMs: number[] }>}
   */
  iproute2(options) {
    const file = fileURLToPath(new URL("./peers/iproute2.mjs", import.meta.url));
    return runTrial([process.execPath, file, JSON.stringify(options)]);
  }

  /**
   * forknet: bench/trials/<name>.mjs.
   * @param {string} name
   * @param {Record<string, unknown>} options
   */
  forknet(name, options) {
    return runNodeTrial(name, { warmUps: this.warmUps, ...options });
  }
}
