// What it costs to read the counters of every guest at once.

import { interleaved } from "../rounds.mjs";
import { median, rounded, summarize } from "../statistics.mjs";

/** @typedef {{ passMs: number[], loopMaxMs: number, aloneMs: number[], besideMs: number[] }} Trial */

export const statistics = {
  name: "statistics",
  title: "Reading the counters of all guests",

  /** @param {import("../question.mjs").Context} context */
  async run({ pick, peers }) {
    const sizes = pick({ full: [100, 900], quick: [900], tiny: [3] });
    const rounds = pick({ full: 3, quick: 1, tiny: 1 });
    const passes = pick({ full: 50, quick: 20, tiny: 2 });
    /** @type {Record<string, Trial[]>} */
    const trials = await interleaved(
      rounds,
      Object.fromEntries(sizes.map((n) => [n, () => peers.forknet("statistics", { n, passes })])),
    );
    return {
      how: `One statistics() after the other; the event loop's longest delay meanwhile; single cold forks without and with passes running all the time. Medians of ${rounds} rounds.`,
      table: Object.entries(trials).map(([n, all]) => {
        const pass = summarize(all.flatMap(({ passMs }) => passMs));
        const fork = (/** @type {"aloneMs" | "besideMs"} */ key) =>
          rounded(median(all.map((one) => median(one[key]))));
        return {
          guests: Number(n),
          "pass p50 ms": pass.p50,
          "pass p95 ms": pass.p95,
          "event loop max ms": rounded(median(all.map(({ loopMaxMs }) => loopMaxMs))),
          "fork p50 ms": fork("aloneMs"),
          "fork p50 ms beside it": fork("besideMs"),
        };
      }),
    };
  },
};
