// Everybody who is measured, and how to run each. Names as they stand in the report.

import { fileURLToPath } from "node:url";
import { runNodeTrial, runTrial } from "./trial.mjs";

/** Slots of a warm pool: more than a burst of 100 takes, and the most that openNetwork allows. */
export const POOL = 128;
export const LARGEST_POOL = 512;
/** An agent that has run for a minute: the compiler has settled. With 24 a warm fork costs a third more. */
const WARM_UPS = 300;

export const PEER = /** @type {const} */ ({
  floor: "floor",
  floorFull: "floor, as much as forknet does",
  cold: "forknet cold",
  warm: "forknet warm",
  warmAtOnce: "forknet warm, back to back",
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
   * @param {number} warmUps how many forks a trial of forknet makes before the ones that count
   */
  constructor(programs, warmUps = WARM_UPS) {
    this.programs = programs;
    this.warmUps = warmUps;
  }

  /** False when Go or its library is missing. */
  get hasUsual() {
    return this.programs.usual !== undefined;
  }

  /**
   * The kernel's floor: makes n slots, deletes `one` of them alone and the rest as a group.
   * @param {"bare" | "full"} order
   * @param {number} n
   * @returns {Promise<{ coldUs: number[], armUs: number[], reshapeUs: number[], deleteOneUs: number[],
   *   deleteGroupMs: number, grouped: number }>}
   */
  floor(order, n, one = 0) {
    return runTrial([this.programs.floor, order, String(n), String(one)]);
  }

  /**
   * @param {string} variant one of USUAL
   * @param {{ n: number, oneByOne?: boolean, release?: number }} options
   * @returns {Promise<{ usableMs: number[], shapedMs: number[], releaseMs: number[] }>}
   */
  usual(variant, { n, oneByOne = false, release = 0 }) {
    const program = /** @type {string} */ (this.programs.usual);
    const how = /** @type {string[]} */ (USUAL[/** @type {keyof typeof USUAL} */ (variant)]);
    return runTrial([program, ...how, "-n", String(n), "-release", String(release), ...(oneByOne ? ["-one"] : [])]);
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
