// Steady churn: forks while other guests are released, one for one, and while a crowd of them is released at once.

import { PEER } from "../peers.mjs";
import { interleaved } from "../rounds.mjs";
import { curve, summarize } from "../statistics.mjs";

const PACE_MS = 10;
const CROWD_PACE_MS = 1;

export const churn = {
  name: "churn",
  title: "Forks while others are released",

  /** @param {import("../question.mjs").Context} context */
  async run({ pick, peers }) {
    const live = pick({ full: 200, quick: 200, tiny: 3 });
    const n = pick({ full: 300, quick: 150, tiny: 3 });
    const rounds = pick({ full: 3, quick: 1, tiny: 1 });
    const steady = { live, n, paceMs: PACE_MS, batch: false };
    const crowd = {
      live,
      n: pick({ full: 100, quick: 100, tiny: 3 }),
      paceMs: CROWD_PACE_MS,
      batch: true,
    };
    const warmCrowd = `${PEER.warm}, ${live} releases at once`;
    const coldCrowd = `${PEER.cold}, ${live} releases at once`;
    const samples = await interleaved(rounds, {
      [PEER.warm]: async () => (await peers.forknet("churn", { ...steady, pool: peers.pool })).us,
      [PEER.cold]: async () => (await peers.forknet("churn", { ...steady, pool: 0 })).us,
      [warmCrowd]: async () =>
        (
          await peers.forknet("churn", {
            ...crowd,
            pool: peers.largestPool,
          })
        ).us,
      [coldCrowd]: async () => (await peers.forknet("churn", { ...crowd, pool: 0 })).us,
    });
    return {
      how: `${live} guests; a fork and a release every ${PACE_MS} ms, or a fork every ms while all are released at once.`,
      table: Object.entries(samples).map(([peer, all]) => {
        const { n: count, p50, p95, p99, max } = summarize(all.flat());
        return { peer, n: count, "p50 us": p50, "p95 us": p95, "p99 us": p99, "max us": max };
      }),
      curves: Object.fromEntries(
        Object.entries(samples).map(([peer, all]) => [peer, curve(all.flat())]),
      ),
    };
  },
};
