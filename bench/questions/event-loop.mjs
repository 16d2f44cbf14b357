// The agent's own event loop during a burst of 1000 forks: nothing else of the agent runs while it is held up.

import { PEER } from "../peers.mjs";
import { interleaved } from "../rounds.mjs";
import { median, rounded } from "../statistics.mjs";

/** @typedef {{ delayMs: { samples: number, p50: number, p99: number, max: number } }} Trial */

export const eventLoop = {
  name: "event-loop",
  title: "Event-loop delay during a burst of 1000 forks",

  /** @param {import("../question.mjs").Context} context */
  async run({ pick, peers }) {
    const n = pick({ full: 1000, quick: 1000, tiny: 5 });
    const pool = peers.largestPool;
    const rounds = pick({ full: 5, quick: 2, tiny: 1 });
    /** @type {Record<string, Trial[]>} */
    const trials = await interleaved(rounds, {
      [PEER.cold]: () => peers.forknet("burst", { n, pool: 0 }),
      [PEER.warm]: () => peers.forknet("burst", { n, pool }),
    });
    const middle = (
      /** @type {Trial[]} */ all,
      /** @type {"p50" | "p99" | "max" | "samples"} */ what,
    ) => rounded(median(all.map(({ delayMs }) => delayMs[what])));
    return {
      how: `All ${n} asked for in one turn; monitorEventLoopDelay at 1 ms until all are shaped. Medians of ${rounds} rounds.`,
      table: Object.entries(trials).map(([peer, all]) => ({
        peer,
        pool: peer === PEER.warm ? pool : 0,
        samples: middle(all, "samples"),
        "p50 ms": middle(all, "p50"),
        "p99 ms": middle(all, "p99"),
        "max ms": middle(all, "max"),
      })),
      p99Ms: Object.fromEntries(
        Object.entries(trials).map(([peer, all]) => [peer, middle(all, "p99")]),
      ),
    };
  },
};
