// Are the limits true? TCP goodput against what the configured rate can carry (rate x 1448/1514), both ways.

import { median, rounded } from "../statistics.mjs";

/** A flow at 1 mbit sends a 64 KB frame every half second: it is stated, and held to nothing. */
const STATED_ONLY_MBIT = 1;
/** Side by side: together they load no core. */
const SLOW_MBIT = [1, 3, 10, 30];
/** One at a time: each may need a core for itself. */
const FAST_MBIT = [100, 300, 1000];
const DIRECTIONS = /** @type {const} */ (["upload", "download"]);

export const goodput = {
  name: "goodput",
  title: "Goodput against the configured rate",

  /** @param {import("../question.mjs").Context} context */
  async run({ pick, peers }) {
    const rounds = pick({ full: 3, quick: 1, tiny: 1 });
    const slow = pick({
      full: { seconds: 12, warmUpSeconds: 2 },
      quick: { seconds: 6, warmUpSeconds: 2 },
      tiny: { seconds: 0.2, warmUpSeconds: 0 },
    });
    const fast = pick({
      full: { seconds: 2.5, warmUpSeconds: 1 },
      quick: { seconds: 2, warmUpSeconds: 1 },
      tiny: { seconds: 0.1, warmUpSeconds: 0 },
    });
    const both = (/** @type {number[]} */ rates) =>
      rates.flatMap((mbit) => DIRECTIONS.map((direction) => ({ mbit, direction })));
    const slowFlows = both(pick({ full: SLOW_MBIT, quick: SLOW_MBIT, tiny: [10] }));
    const fastFlows = both(pick({ full: FAST_MBIT, quick: [100, 1000], tiny: [1000] }));
    const trials = [
      { flows: slowFlows, ...slow },
      ...fastFlows.map((flow) => ({ flows: [flow], ...fast })),
    ];
    /** @type {Map<string, { mbit: number, direction: string, shares: number[] }>} */
    const measured = new Map();
    for (let round = 0; round < rounds; round++) {
      for (const trial of trials) {
        const { shares } = await peers.forknet("goodput", trial);
        trial.flows.forEach(({ mbit, direction }, i) => {
          const key = `${direction} ${mbit}`;
          const entry = measured.get(key) ?? { mbit, direction, shares: [] };
          entry.shares.push(shares[i]);
          measured.set(key, entry);
        });
      }
    }
    const rows = [...measured.values()];
    const bound = rows.filter(({ mbit }) => mbit !== STATED_ONLY_MBIT);
    return {
      how: `1 is rate x 1448/1514. Flows up to 30 mbit side by side for ${slow.seconds} s, faster ones alone for ${fast.seconds} s; ${rounds} rounds.`,
      table: rows.map(({ mbit, direction, shares }) => ({
        "rate mbit": mbit,
        direction,
        "share, median": rounded(median(shares)),
        lowest: rounded(Math.min(...shares)),
        highest: rounded(Math.max(...shares)),
      })),
      shares: rows,
      worstDeviation: rounded(Math.max(...bound.map(({ shares }) => Math.abs(median(shares) - 1)))),
    };
  },
};
