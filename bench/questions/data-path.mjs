// What limits cost a packet: throughput and round trips through one guest, by how many guests there are.

import { interleaved } from "../rounds.mjs";
import { curve, median, rounded, summarize } from "../statistics.mjs";

/**
 * @typedef {object} Cell One setting at one number of guests.
 * @property {number} guests
 * @property {number} uploadGbit
 * @property {number} downloadGbit
 * @property {{ us: number[], lost: number }} echo
 */

/** @typedef {[setting: "unshaped" | "forknet" | "linear", translate?: "guest" | "others"]} Setting as the trial has it */

/** Those that translate have one guest, to be held against "forknet" with one. @type {Record<string, Setting>} */
const SETTINGS = {
  "no limits": ["unshaped"],
  forknet: ["forknet"],
  "forknet translating others": ["forknet", "others"],
  "forknet translating": ["forknet", "guest"],
  "filter list": ["linear"],
};
/** What the guest sends: 64 KB segments, or what a guest without offloads sends. */
const FRAMES = "single frames";

export const dataPath = {
  name: "data-path",
  title: "Throughput and latency by number of guests",

  /** @param {import("../question.mjs").Context} context */
  async run({ pick, peers }) {
    const sizes = pick({ full: [1, 100, 1000], quick: [1, 1000], tiny: [2] });
    const rounds = pick({ full: 2, quick: 1, tiny: 1 });
    const measured = {
      seconds: pick({ full: 0.4, quick: 0.3, tiny: 0.1 }),
      echoes: pick({ full: 700, quick: 300, tiny: 5 }),
      // The best counts: what disturbs a flow only ever slows it down.
      flows: pick({ full: 5, quick: 5, tiny: 1 }),
      // For what the kernel and the agent still do about a thousand new links: the latter listens to all of it.
      settleMs: pick({ full: 1000, quick: 1000, tiny: 10 }),
    };
    const trial = (/** @type {Setting} */ [setting, translate], /** @type {boolean} */ offload) => {
      const isOne = setting === "unshaped" || translate !== undefined;
      return () =>
        peers.forknet("data-path", {
          setting,
          offload,
          translate,
          sizes: isOne ? [1] : sizes,
          ...measured,
        });
    };
    const settings = Object.entries(SETTINGS);
    /** @type {Record<string, { bySize: Cell[], alone?: Cell }[]>} */
    const trials = await interleaved(rounds, {
      ...Object.fromEntries(settings.map(([name, one]) => [name, trial(one, true)])),
      ...Object.fromEntries(
        pick({ full: settings, quick: [], tiny: settings }).map(([name, one]) => [
          `${name}, ${FRAMES}`,
          trial(one, false),
        ]),
      ),
    });
    const cells = Object.entries(trials).flatMap(([limits, all]) =>
      (all[0]?.bySize ?? []).map(({ guests }, i) => {
        const own = all.map(({ bySize }) => /** @type {Cell} */ (bySize[i]));
        return { limits, guests, own };
      }),
    );
    const manyToOne = (trials.forknet ?? []).map(({ bySize, alone }) => {
      const ends = [bySize[0], alone].map((cell) => cell?.uploadGbit ?? Number.NaN);
      return (bySize.at(-1)?.uploadGbit ?? Number.NaN) / median(ends);
    });
    return {
      how:
        `The best of ${measured.flows} TCP flows of ${measured.seconds} s each way and ${measured.echoes} UDP round trips, the guests added in ` +
        `between; medians of ${rounds} rounds. Round trips on one processor. The filter list's measured guest is the middle one.`,
      table: cells.map(({ limits, guests, own }) => {
        const echo = summarize(own.flatMap(({ echo: { us } }) => us));
        return {
          limits,
          guests,
          "upload gbit/s": rounded(median(own.map(({ uploadGbit }) => uploadGbit))),
          "download gbit/s": rounded(median(own.map(({ downloadGbit }) => downloadGbit))),
          "round trip p50 us": echo.p50,
          "p99 us": echo.p99,
          lost: own.reduce((sum, one) => sum + one.echo.lost, 0),
        };
      }),
      throughput: cells.map(({ limits, guests, own }) => ({
        limits,
        guests,
        upload: rounded(median(own.map(({ uploadGbit }) => uploadGbit))),
        download: rounded(median(own.map(({ downloadGbit }) => downloadGbit))),
      })),
      curves: Object.fromEntries(
        cells
          .filter(({ limits }) => !limits.endsWith(FRAMES))
          .map(({ limits, guests, own }) => [
            `${limits}, ${guests} guest${guests === 1 ? "" : "s"}`,
            curve(own.flatMap(({ echo }) => echo.us)),
          ]),
      ),
      sizes: [sizes[0], sizes.at(-1)],
      manyToOne: manyToOne.map(rounded),
    };
  },
};
