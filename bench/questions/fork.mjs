// One fork at a time: how long until the caller has a usable TAP, while the bridge fills up to n guests.

import { PEER } from "../peers.mjs";
import { interleaved, ratios } from "../rounds.mjs";
import { curve, median, rounded, summarize } from "../statistics.mjs";

/** Lies between two warm forks: by then the limits are in place and the pool is full again. */
const PACE_MS = 5;
const US_PER_MS = 1000;

export const fork = {
  name: "fork",
  title: "One fork at a time",

  /** @param {import("../question.mjs").Context} context */
  async run({ pick, peers }) {
    const n = pick({ full: 200, quick: 200, tiny: 4 });
    const rounds = pick({ full: 7, quick: 3, tiny: 1 });
    const slow = pick({ full: 40, quick: 20, tiny: 2 });
    // Back-to-back forks leave the pool no time to refill.
    const back = Math.min(n, peers.pool);
    const scale = (/** @type {number[]} */ ms) => ms.map((value) => value * US_PER_MS);
    const samples = await interleaved(rounds, {
      [PEER.floor]: async () => (await peers.floor("bare", n)).coldUs,
      [PEER.floorFull]: async () => (await peers.floor("full", n)).coldUs,
      [PEER.cold]: async () => (await peers.forknet("fork", { n, pool: 0, paceMs: 0 })).us,
      [PEER.warm]: async () => allWarm(await peers.forknet("fork", { n, pool: peers.pool, paceMs: PACE_MS })),
      [PEER.warmAtOnce]: async () => allWarm(await peers.forknet("fork", { n: back, pool: peers.pool, paceMs: 0 })),
      ...(peers.hasUsual && {
        [PEER.inline]: async () => scale((await peers.usual(PEER.inline, { n: slow, oneByOne: true })).usableMs),
        [PEER.deferred]: async () => scale((await peers.usual(PEER.deferred, { n: slow, oneByOne: true })).usableMs),
      }),
      [PEER.iproute2]: async () => scale((await peers.iproute2({ n: slow, oneByOne: true })).usableMs),
    });
    const p50 = (/** @type {string} */ peer) => (samples[peer] ?? []).map((one) => summarize(one).p50);
    return {
      how: `n forks a round, ${rounds} rounds, none released; usable at return. Warm: one every ${PACE_MS} ms.`,
      table: Object.entries(samples).map(([peer, all]) => {
        const { n: count, p50: middle, p95, p99, max } = summarize(all.flat());
        const toFloor = rounded(median(ratios(p50(peer), p50(PEER.floor))));
        return {
          peer,
          n: count,
          "p50 us": middle,
          "p95 us": p95,
          "p99 us": p99,
          "max us": max,
          "p50 / floor": toFloor,
        };
      }),
      curves: Object.fromEntries(Object.entries(samples).map(([peer, all]) => [peer, curve(all.flat())])),
      coldToFloor: ratios(p50(PEER.cold), p50(PEER.floor)).map(rounded),
      coldToFullFloor: ratios(p50(PEER.cold), p50(PEER.floorFull)).map(rounded),
      warmToFloor: ratios(p50(PEER.warm), p50(PEER.floor)).map(rounded),
    };
  },
};

/** @param {{ us: number[], warm: number }} trial */
function allWarm({ us, warm }) {
  if (warm !== us.length) throw new Error(`Expected ${us.length} warm forks, but ${us.length - warm} were cold`);
  return us;
}
