// The agent around the forks: how fast it takes over after a crash, how much memory it needs, how long it takes to load.

import { interleaved } from "../rounds.mjs";
import { median, rounded, summarize } from "../statistics.mjs";

export const adoption = {
  name: "adoption",
  title: "Opening after a crash",

  /** @param {import("../question.mjs").Context} context */
  async run({ pick, peers }) {
    const sizes = pick({ full: [0, 100, 500], quick: [500], tiny: [3] });
    const rounds = pick({ full: 5, quick: 2, tiny: 1 });
    const trials = await interleaved(
      rounds,
      Object.fromEntries(
        sizes.map((n) => [n, async () => (await peers.forknet("adoption", { n })).openMs]),
      ),
    );
    return {
      how: "An agent with n live guests is killed; milliseconds of the next openNetwork, until all are back.",
      table: sizes.map((n) => {
        const { n: count, p50, max } = summarize(trials[n] ?? []);
        return { guests: n, n: count, "p50 ms": p50, "max ms": max };
      }),
      openMs: trials,
    };
  },
};

export const memory = {
  name: "memory",
  title: "Memory",

  /** @param {import("../question.mjs").Context} context */
  async run({ pick, peers }) {
    const n = pick({ full: 1000, quick: 1000, tiny: 3 });
    const rounds = pick({ full: 3, quick: 1, tiny: 1 });
    const { all } = await interleaved(rounds, { all: () => peers.forknet("memory", { n }) });
    const of = (/** @type {string} */ key) => rounded(median((all ?? []).map((one) => one[key])));
    return {
      how: `Resident memory of the agent's process in MB (10^6), three worker threads included; medians of ${rounds}.`,
      table: [
        { when: "package loaded", "RSS MB": of("startMb") },
        { when: "network open", "RSS MB": of("openMb") },
        { when: `${n} guests`, "RSS MB": of("guestsMb") },
      ],
      rssMb: Math.max(...(all ?? []).map(({ guestsMb }) => guestsMb)),
    };
  },
};

export const load = {
  name: "import",
  title: "Import",

  /** @param {import("../question.mjs").Context} context */
  async run({ pick, peers }) {
    const n = pick({ full: 20, quick: 5, tiny: 1 });
    const { all } = await interleaved(n, {
      all: async () => (await peers.forknet("import", {})).importMs,
    });
    const { p50, p95, max } = summarize(all ?? []);
    return {
      how: 'Milliseconds of import("forknet") in a fresh process, the addon not yet loaded.',
      table: [{ n, "p50 ms": p50, "p95 ms": p95, "max ms": max }],
    };
  },
};
