// Releases: how long until the last of n guests is gone, against the kernel's floor (one link group) and one by one.

import { PEER } from "../peers.mjs";
import { interleaved, ratios } from "../rounds.mjs";
import { median, rounded } from "../statistics.mjs";

const ONE_BY_ONE = "floor, one by one";
/** Twenty milliseconds each: more would say nothing new. */
const MOST_ONE_BY_ONE = 25;
const MOST_USUAL = 100;

export const release = {
  name: "release",
  title: "Releases",

  /** @param {import("../question.mjs").Context} context */
  async run({ pick, peers }) {
    const sizes = pick({ full: [1, 100, 900], quick: [1, 100], tiny: [1, 3] });
    /** @type {Record<string, Record<string, number[]>>} */
    const bySize = {};
    for (const n of sizes) {
      const rounds = pick({ full: n > 100 ? 3 : 7, quick: 3, tiny: 1 });
      const alone = Math.min(n, MOST_ONE_BY_ONE);
      bySize[n] = await interleaved(rounds, {
        [PEER.floor]: async () => (await peers.floor("bare", n)).deleteGroupMs,
        [PEER.floorFull]: async () => (await peers.floor("full", n)).deleteGroupMs,
        [ONE_BY_ONE]: async () =>
          (sum((await peers.floor("bare", n, { one: alone })).deleteOneUs) / 1000 / alone) * n,
        forknet: async () =>
          Math.max(...(await peers.forknet("release", { n, release: n })).goneMs),
        ...(peers.hasUsual &&
          n <= MOST_USUAL && {
            "usual way": async () =>
              Math.max(...(await peers.usual(PEER.bounded, { n, release: n })).releaseMs),
          }),
      });
    }
    return {
      how: `Milliseconds until the last is gone. One by one: ${MOST_ONE_BY_ONE} at most, scaled up.`,
      table: sizes.flatMap((n) =>
        Object.entries(bySize[n] ?? {}).map(([peer, all]) => ({
          guests: n,
          peer,
          rounds: all.length,
          "all gone ms": rounded(median(all)),
          "ms each": rounded(median(all) / n),
          "to floor": rounded(median(ratios(all, bySize[n]?.[PEER.floor] ?? []))),
        })),
      ),
      toFloor: Object.fromEntries(
        sizes.map((n) => [
          n,
          ratios(bySize[n]?.forknet ?? [], bySize[n]?.[PEER.floor] ?? []).map(rounded),
        ]),
      ),
    };
  },
};

/** @param {readonly number[]} values */
function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
