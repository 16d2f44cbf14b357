// Bursts: n forks at once. When is the last guest usable, and when do all have their limits?

import { PEER } from "../peers.mjs";
import { interleaved, ratios } from "../rounds.mjs";
import { median, rounded, summarize, thinned } from "../statistics.mjs";

/** Above, a peer that starts processes takes longer than its figure is worth. */
const MOST_FOR_PROCESSES = 100;

/** @typedef {{ usableMs: number[], shapedMs: number[] }} Trial */

export const burst = {
  name: "burst",
  title: "Bursts",

  /** @param {import("../question.mjs").Context} context */
  async run(context) {
    const sizes = context.pick({ full: [25, 100, 1000], quick: [100], tiny: [5] });
    /** @type {Record<string, any>} */
    const bySize = {};
    for (const size of sizes) bySize[size] = await runSize(context, size);
    return {
      how: "Milliseconds from the first call until the last guest is usable, and until all have their limits.",
      table: sizes.flatMap((size) => bySize[size].table),
      bySize: Object.fromEntries(sizes.map((size) => [size, bySize[size].data])),
    };
  },
};

/**
 * @param {import("../question.mjs").Context} context
 * @param {number} n
 */
async function runSize({ pick, peers }, n) {
  const isLarge = n > MOST_FOR_PROCESSES;
  const rounds = pick({ full: isLarge ? 3 : 7, quick: 3, tiny: 1 });
  const pool = isLarge ? peers.largestPool : peers.pool;
  const variants = isLarge ? [PEER.bounded] : [PEER.inline, PEER.deferred, PEER.bounded];
  /** @type {Record<string, Trial[]>} */
  const trials = await interleaved(rounds, {
    [PEER.floor]: async () => made((await peers.floor("bare", n)).coldUs),
    [PEER.cold]: () => peers.forknet("burst", { n, pool: 0 }),
    [PEER.warm]: () => peers.forknet("burst", { n, pool }),
    ...Object.fromEntries(
      (peers.hasUsual ? variants : []).map((variant) => [
        variant,
        () => peers.usual(variant, { n }),
      ]),
    ),
    ...(!isLarge && { [PEER.iproute2]: () => peers.iproute2({ n }) }),
  });
  const last = Object.fromEntries(
    Object.entries(trials).map(([peer, all]) => [
      peer,
      {
        usable: all.map(({ usableMs }) => Math.max(...usableMs)),
        shaped: all.map(({ shapedMs }) => Math.max(...shapedMs)),
      },
    ]),
  );
  const warm = /** @type {{ usable: number[], shaped: number[] }} */ (last[PEER.warm]);
  /** Against what such agents do; and round by round against the fastest variant. @param {"usable" | "shaped"} what */
  const toUsual = (what) => {
    const times = (/** @type {string} */ variant) => last[variant]?.[what] ?? [];
    const fastest = warm[what].map((_, i) =>
      Math.min(...variants.map((variant) => times(variant)[i] ?? Number.NaN)),
    );
    return {
      deferred: ratios(warm[what], times(PEER.deferred)).map(rounded),
      fastest: ratios(warm[what], fastest).map(rounded),
    };
  };
  return {
    table: Object.entries(trials).map(([peer, all]) => ({
      guests: n,
      peer,
      rounds,
      "p50 usable ms": rounded(median(all.map(({ usableMs }) => summarize(usableMs).p50))),
      "last usable ms": rounded(median(last[peer]?.usable ?? [])),
      "all shaped ms": rounded(median(last[peer]?.shaped ?? [])),
    })),
    data: {
      last,
      timelines: Object.fromEntries(
        Object.entries(trials).map(([peer, all]) => [peer, timeline(all)]),
      ),
      ...(peers.hasUsual &&
        !isLarge && { usableToUsual: toUsual("usable"), shapedToUsual: toUsual("shaped") }),
    },
  };
}

/** The floor makes one after the other: the sum of what each took. @param {number[]} us @returns {Trial} */
function made(us) {
  let sum = 0;
  const usableMs = us.map((one) => {
    sum += one / 1000;
    return sum;
  });
  return { usableMs, shapedMs: usableMs };
}

/** Of the round in the middle, how many were usable and shaped at which time. @param {Trial[]} trials */
function timeline(trials) {
  const end = (/** @type {Trial} */ { shapedMs }) => Math.max(...shapedMs);
  const sorted = [...trials].sort((a, b) => end(a) - end(b));
  const middle = /** @type {Trial} */ (sorted[Math.floor(sorted.length / 2)]);
  return { usable: thinned(middle.usableMs), shaped: thinned(middle.shapedMs) };
}
