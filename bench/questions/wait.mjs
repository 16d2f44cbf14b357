// What others feel: the wait of a VMM that opens its TAP while 200 guests are released.

import { interleaved } from "../rounds.mjs";
import { curve, median, rounded, summarize } from "../statistics.mjs";

export const wait = {
  name: "wait",
  title: "Wait of a VMM that opens its TAP during releases",

  /** @param {import("../question.mjs").Context} context */
  async run({ pick, peers }) {
    const n = pick({ full: 200, quick: 200, tiny: 4 });
    const rounds = pick({ full: 7, quick: 3, tiny: 1 });
    const trial = (/** @type {string} */ peer) =>
      peers.forknet("wait", { n, peer, programs: peers.programs });
    /** @type {Record<string, { releaseMs: number, duringMs: number[], beforeMs: number[] }[]>} */
    const trials = await interleaved(rounds, {
      forknet: () => trial("forknet"),
      "floor, one group": () => trial("floor"),
      ...(peers.hasUsual && { "usual way": () => trial("usual") }),
    });
    const idle = Object.values(trials).flatMap((all) => all.flatMap(({ beforeMs }) => beforeMs));
    const waits = {
      "nobody releases": idle,
      ...Object.fromEntries(
        Object.entries(trials).map(([peer, all]) => [
          peer,
          all.flatMap(({ duringMs }) => duringMs),
        ]),
      ),
    };
    return {
      how: `TUNSETIFF by another process every 2 ms while ${n} guests are released; milliseconds, over ${rounds} rounds.`,
      table: Object.entries(waits).map(([peer, all]) => {
        const { n: count, p50, p99, max } = summarize(all);
        const took = trials[peer]
          ? rounded(median(trials[peer].map(({ releaseMs }) => releaseMs)))
          : "";
        return {
          "while released by": peer,
          opens: count,
          "p50 ms": p50,
          "p99 ms": p99,
          "max ms": max,
          "all gone ms": took,
        };
      }),
      curves: Object.fromEntries(Object.entries(waits).map(([peer, all]) => [peer, curve(all)])),
      longestMs: trials.forknet?.map(({ duringMs }) => Math.max(...duringMs)).map(rounded),
    };
  },
};
