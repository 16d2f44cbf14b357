// What limits cost a packet: throughput and round trips through one guest, by how many guests there are.

import { interleaved, ratios } from "../rounds.mjs";
import { curve, median, rounded, summarize } from "../statistics.mjs";

/** @typedef {{ uploadGbit: number, downloadGbit: number, echo: { us: number[], lost: number } }} Trial */

const UNSHAPED = "no limits";

export const dataPath = {
  name: "data-path",
  title: "Throughput and latency by number of guests",

  /** @param {import("../question.mjs").Context} context */
  async run({ pick, peers }) {
    const sizes = pick({ full: [1, 100, 1000], quick: [1, 1000], tiny: [2] });
    const rounds = pick({ full: 5, quick: 1, tiny: 1 });
    const measured = {
      seconds: pick({ full: 1.5, quick: 1, tiny: 0.1 }),
      echoes: pick({ full: 1000, quick: 300, tiny: 5 }),
    };
    const trial = (/** @type {string} */ setting, /** @type {number} */ guests) => () =>
      peers.forknet("data-path", { setting, guests, ...measured });
    /** @type {Record<string, () => Promise<Trial>>} */
    const settings = { [UNSHAPED]: trial("unshaped", 1) };
    for (const guests of sizes) {
      settings[nameOf("forknet", guests)] = trial("forknet", guests);
      settings[nameOf("filter list", guests)] = trial("linear", guests);
    }
    const trials = await interleaved(rounds, settings);
    const uploads = (/** @type {string} */ name) => (trials[name] ?? []).map(({ uploadGbit }) => uploadGbit);
    const [least, most] = [sizes[0] ?? 1, sizes.at(-1) ?? 1];
    return {
      how: `One TCP flow of ${measured.seconds} s each way, ${measured.echoes} UDP round trips; medians of ${rounds} rounds.`,
      table: Object.entries(trials).map(([limits, all]) => {
        const echo = summarize(all.flatMap(({ echo: { us } }) => us));
        return {
          limits,
          "upload gbit/s": rounded(median(uploads(limits))),
          "download gbit/s": rounded(median(all.map(({ downloadGbit }) => downloadGbit))),
          "round trip p50 us": echo.p50,
          "p99 us": echo.p99,
          lost: all.reduce((sum, one) => sum + one.echo.lost, 0),
        };
      }),
      curves: Object.fromEntries(
        Object.entries(trials).map(([name, all]) => [name, curve(all.flatMap(({ echo }) => echo.us))]),
      ),
      throughput: sizes.flatMap((guests) =>
        ["forknet", "filter list"].flatMap((limits) => {
          const all = trials[nameOf(limits, guests)] ?? [];
          return [
            { limits, guests, direction: "upload", gbit: rounded(median(all.map(({ uploadGbit }) => uploadGbit))) },
            {
              limits,
              guests,
              direction: "download",
              gbit: rounded(median(all.map(({ downloadGbit }) => downloadGbit))),
            },
          ];
        }),
      ),
      unshaped: {
        upload: rounded(median(uploads(UNSHAPED))),
        download: rounded(median((trials[UNSHAPED] ?? []).map(({ downloadGbit }) => downloadGbit))),
      },
      sizes: [least, most],
      manyToOne: ratios(uploads(nameOf("forknet", most)), uploads(nameOf("forknet", least))).map(rounded),
    };
  },
};

/**
 * @param {string} limits
 * @param {number} guests
 */
function nameOf(limits, guests) {
  return `${limits}, ${guests} guest${guests === 1 ? "" : "s"}`;
}
