// One fork at a time: how long until the caller has a usable TAP, while the bridge fills up to n guests. Back to back as
// the floor is defined, and with a pause in between, when others have used the caches.

import { PEER } from "../peers.mjs";
import { interleaved, ratios } from "../rounds.mjs";
import { curve, median, rounded, summarize } from "../statistics.mjs";

/** By then the limits of the last fork are in place and the pool is full again. */
const PACE_MS = 5;
const US_PER_MS = 1000;
/** Any uid but the trial's own. */
const OWNER = 1000;
const paced = (/** @type {string} */ peer) => `${peer}, one every ${PACE_MS} ms`;

export const fork = {
  name: "fork",
  title: "One fork at a time",

  /** @param {import("../question.mjs").Context} context */
  async run({ pick, peers }) {
    // Back-to-back forks leave the pool no time to refill.
    const n = Math.min(pick({ full: 120, quick: 120, tiny: 4 }), peers.pool);
    const rounds = pick({ full: 9, quick: 3, tiny: 1 });
    const slow = pick({ full: 30, quick: 20, tiny: 2 });
    const scale = (/** @type {number[]} */ ms) => ms.map((value) => value * US_PER_MS);
    const cold = { n, pool: 0, paceMs: 0 };
    const warm = { n, pool: peers.pool, paceMs: 0 };
    const samples = await interleaved(rounds, {
      [PEER.floor]: async () => (await peers.floor("bare", n)).coldUs,
      [PEER.floorFull]: async () => (await peers.floor("full", n)).coldUs,
      [PEER.plan]: async () => (await peers.forknet("plan", cold)).us,
      [PEER.cold]: async () => (await peers.forknet("fork", cold)).us,
      [PEER.warm]: async () => allWarm(await peers.forknet("fork", warm)),
      [PEER.owned]: async () => (await peers.forknet("fork", { ...warm, owner: OWNER })).us,
      [paced(PEER.floor)]: async () => (await peers.floor("bare", n, { paceMs: PACE_MS })).coldUs,
      [paced(PEER.cold)]: async () =>
        (await peers.forknet("fork", { ...cold, paceMs: PACE_MS })).us,
      [paced(PEER.warm)]: async () =>
        allWarm(await peers.forknet("fork", { ...warm, paceMs: PACE_MS })),
      ...(peers.hasUsual && {
        [PEER.inline]: async () =>
          scale((await peers.usual(PEER.inline, { n: slow, oneByOne: true })).usableMs),
        [PEER.deferred]: async () =>
          scale((await peers.usual(PEER.deferred, { n: slow, oneByOne: true })).usableMs),
      }),
      [PEER.iproute2]: async () =>
        scale((await peers.iproute2({ n: slow, oneByOne: true })).usableMs),
    });
    const p50 = (/** @type {string} */ peer) =>
      (samples[peer] ?? []).map((one) => summarize(one).p50);
    const toFloor = (/** @type {string} */ peer) => {
      const floor = peer.endsWith("ms") ? paced(PEER.floor) : PEER.floor;
      return ratios(p50(peer), p50(floor)).map(rounded);
    };
    return {
      how:
        `Up to ${n} guests a round, ${rounds} rounds, none released; usable at return. Each against the floor at the ` +
        "same pace. By the caller: without a worker, and without the reservation. Given to an owner: a warm slot whose TAP " +
        "the create lane gives to another uid, with its limits. Of the usual way and the scripts, " +
        "the next fork comes when the last is shaped.",
      table: Object.entries(samples).map(([peer, all]) => {
        const { n: count, p50: middle, p95, p99, max } = summarize(all.flat());
        const ratio = rounded(median(toFloor(peer)));
        return {
          peer,
          n: count,
          "p50 us": middle,
          "p95 us": p95,
          "p99 us": p99,
          "max us": max,
          "p50 / floor": ratio,
        };
      }),
      curves: Object.fromEntries(
        Object.entries(samples).map(([peer, all]) => [peer, curve(all.flat())]),
      ),
      coldToFloor: toFloor(PEER.cold),
      coldToFullFloor: ratios(p50(PEER.cold), p50(PEER.floorFull)).map(rounded),
      warmToFloor: toFloor(PEER.warm),
    };
  },
};

/** @param {{ us: number[], warm: number }} trial */
function allWarm({ us, warm }) {
  if (warm !== us.length)
    throw new Error(`Expected ${us.length} warm forks, but ${us.length - warm} were cold`);
  return us;
}
