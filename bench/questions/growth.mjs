// Growth: what a fork costs with no guest on the bridge, and with a thousand.

import { PEER } from "../peers.mjs";
import { interleaved } from "../rounds.mjs";
import { rounded, summarize } from "../statistics.mjs";

/** A bridge has 1023 ports, and the pool keeps its own. */
const PACE_MS = 3;

export const growth = {
  name: "growth",
  title: "Growth from none to a thousand guests",

  /** @param {import("../question.mjs").Context} context */
  async run({ pick, peers }) {
    const n = pick({ full: 1000, quick: 1000, tiny: 4 });
    const warmed = pick({ full: 800, quick: 800, tiny: 4 });
    const rounds = pick({ full: 3, quick: 1, tiny: 1 });
    const window = Math.max(n / 10, 1);
    const samples = await interleaved(rounds, {
      [PEER.floor]: async () => (await peers.floor("bare", n)).coldUs,
      [PEER.floorFull]: async () => (await peers.floor("full", n)).coldUs,
      [PEER.cold]: async () => (await peers.forknet("fork", { n, pool: 0, paceMs: 0 })).us,
      [PEER.warm]: async () =>
        (await peers.forknet("fork", { n: warmed, pool: peers.pool, paceMs: PACE_MS })).us,
    });
    const series = Object.fromEntries(
      Object.entries(samples).map(([peer, rows]) => [
        peer,
        windows(/** @type {number[][]} */ (rows), window),
      ]),
    );
    return {
      how: `Microseconds of a fork (p50 of ${window}) by the guests that are there already.`,
      table: Object.entries(series).map(([peer, points]) => {
        const first = points[0]?.p50 ?? Number.NaN;
        const last = points.at(-1)?.p50 ?? Number.NaN;
        const guests = points.at(-1)?.guests ?? 0;
        return {
          peer,
          "p50 us, first": first,
          "p50 us, last": last,
          "guests then": guests,
          growth: rounded(last / first),
        };
      }),
      series,
    };
  },
};

/**
 * @param {readonly number[][]} rounds each the forks of one round, in order
 * @param {number} size guests of one window
 */
function windows(rounds, size) {
  const points = [];
  const length = rounds[0]?.length ?? 0;
  for (let at = 0; at < length; at += Math.ceil(size)) {
    const samples = rounds.flatMap((round) => round.slice(at, at + size));
    if (samples.length > 0)
      points.push({ guests: at, p50: summarize(samples).p50, p99: summarize(samples).p99 });
  }
  return points;
}
