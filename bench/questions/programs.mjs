// What the programs at a TAP cost a frame: the guard and the gate, and what translation adds, for guests that are
// translated and for those that are not.

import { interleaved } from "../rounds.mjs";
import { median } from "../statistics.mjs";

/** @typedef {{ network: string, program: string, datagramNs: number, segmentNs: number }} Row */

export const programs = {
  name: "programs",
  title: "Programs at a TAP",

  /** @param {import("../question.mjs").Context} context */
  async run({ pick, peers }) {
    const rounds = pick({ full: 5, quick: 3, tiny: 1 });
    const repeat = pick({ full: 200_000, quick: 100_000, tiny: 10 });
    /** @type {Record<string, { rows: Row[] }[]>} */
    const { all } = await interleaved(rounds, {
      all: () => peers.forknet("programs", { repeat }),
    });
    const trials = all ?? [];
    return {
      how:
        `Nanoseconds a frame in BPF_PROG_TEST_RUN: the mean of ${repeat} runs, the best of five series, the median of ` +
        `${rounds} rounds. The guard sees uploads, the gate downloads. A frame may be a segment of 64 KB.`,
      table: (trials[0]?.rows ?? []).map(({ network, program }, i) => {
        const of = (/** @type {"datagramNs" | "segmentNs"} */ key) =>
          median(trials.map(({ rows }) => /** @type {Row} */ (rows[i])[key]));
        return {
          network,
          program,
          "64-byte UDP ns": of("datagramNs"),
          "1514-byte TCP ns": of("segmentNs"),
        };
      }),
    };
  },
};
