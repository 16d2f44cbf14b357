// Whether guests stay within their limits: the kernel's own counters of HTB classes and TBFs, read over and over with the
// time before and after, and judged over every window up to a second. Pure but for `Meter.sample`.

import { loadAddon } from "../src/kernel/addon.js";
import type { Netlink } from "../src/kernel/binding.js";
import type { Spell } from "./model.js";

/** Bytes that have left the queues, as they were at some instant between the two times. */
export interface Sample {
  beforeMs: number;
  afterMs: number;
  /** By class minor. */
  uploads: ReadonlyMap<number, number>;
  /** By the TAP's ifindex. */
  downloads: ReadonlyMap<number, number>;
}

/** A guest with traffic and one TAP, from its first frame to the wish for its end. */
export interface Stay {
  id: string;
  ifindex: number;
  minor: number;
  fromMs: number;
  untilMs: number;
}

export interface Verdict {
  excesses: string[];
  windows: number;
  /** The most that a guest got in a window of at least half a second, as a share of its limit alone. */
  highestShare: number;
}

const LONGEST_WINDOW_MS = 1000;
const STEADY_WINDOW_MS = 500;
/** A bucket may go below nothing by the frame that empties it. */
const FRAME_BYTES = 1514;
const TICKS_PER_SECOND = 250;
const DOWNLOAD_BURST = 4;
const SMALLEST_BUCKET_BYTES = 1540;

const rateOf = {
  download: ({ limits }: Spell) => limits.download,
  upload: ({ limits }: Spell) => limits.upload.ceil,
};
// bucket = what the rate brings in a 250 Hz tick, four times that for a download, and at least a frame
const bucketOf = {
  download: (bits: number) =>
    Math.max((bits / 8 / TICKS_PER_SECOND) * DOWNLOAD_BURST, SMALLEST_BUCKET_BYTES),
  upload: (bits: number) => bits / 8 / TICKS_PER_SECOND + SMALLEST_BUCKET_BYTES,
};

/**
 * Judges one guest over all windows between samples of its stay. Allowed in a window is the highest limit that may have
 * held in it, or the base limit, for its length, and a full bucket for its start and for every change in it.
 */
export function judge(
  samples: readonly Sample[],
  stay: Stay,
  spells: readonly Spell[],
  baseLimit: number,
): Verdict {
  const verdict: Verdict = { excesses: [], windows: 0, highestShare: 0 };
  const own = samples.filter(
    ({ beforeMs, afterMs }) => beforeMs >= stay.fromMs && afterMs <= stay.untilMs,
  );
  for (const side of ["upload", "download"] as const) {
    const bytesAt = (sample: Sample) =>
      side === "upload" ? sample.uploads.get(stay.minor) : sample.downloads.get(stay.ifindex);
    own.forEach((first, i) => {
      for (const last of own.slice(i + 1)) {
        const ms = last.afterMs - first.beforeMs;
        if (ms > LONGEST_WINDOW_MS) break;
        const [from, to] = [bytesAt(first), bytesAt(last)];
        if (from === undefined || to === undefined) continue;
        const within = spells.filter(
          ({ fromMs, untilMs }) => fromMs <= last.afterMs && untilMs >= first.beforeMs,
        );
        const bits = Math.max(baseLimit, ...within.map(rateOf[side]));
        const buckets = (1 + within.length) * (bucketOf[side](bits) + FRAME_BYTES);
        const allowed = (bits / 8) * (ms / 1000) + buckets;
        verdict.windows += 1;
        if (ms >= STEADY_WINDOW_MS)
          verdict.highestShare = Math.max(
            verdict.highestShare,
            (to - from) / ((bits / 8) * (ms / 1000)),
          );
        if (to - from <= allowed) continue;
        const text = `${stay.id}: ${to - from} bytes of ${side} in ${ms.toFixed(1)} ms, at most ${Math.floor(allowed)}`;
        verdict.excesses.push(`${text} at ${bits} bit/s`);
      }
    });
  }
  return verdict;
}

/** Reads the counters at a steady pace and keeps what has not been judged yet. */
export class Meter {
  readonly #netlink: Netlink = new (loadAddon().Netlink)();
  readonly #shaper: string;
  readonly #stays: Stay[] = [];
  #samples: Sample[] = [];
  readonly total: Omit<Verdict, "excesses"> & { samples: number } = {
    windows: 0,
    highestShare: 0,
    samples: 0,
  };

  constructor(shaper: string) {
    this.#shaper = shaper;
  }

  begin(stay: Omit<Stay, "untilMs">): void {
    const isKnown = this.#stays.some(
      ({ ifindex, untilMs }) => ifindex === stay.ifindex && untilMs === Number.POSITIVE_INFINITY,
    );
    if (!isKnown) this.#stays.push({ ...stay, untilMs: Number.POSITIVE_INFINITY });
  }

  end(id: string, atMs: number): void {
    for (const stay of this.#stays) if (stay.id === id) stay.untilMs = Math.min(stay.untilMs, atMs);
  }

  sample(clock: () => number): void {
    const beforeMs = clock();
    const shaper = this.#netlink.link({ name: this.#shaper });
    if (!shaper) return;
    const classes = this.#netlink.classes(shaper.ifindex);
    const qdiscs = this.#netlink.qdiscs().filter(({ tbf }) => tbf);
    this.#samples.push({
      beforeMs,
      afterMs: clock(),
      uploads: new Map(classes.map(({ handle, stats }) => [handle & 0xffff, stats.bytes])),
      downloads: new Map(qdiscs.map(({ ifindex, stats }) => [ifindex, stats.bytes])),
    });
    this.total.samples += 1;
  }

  /** Judges what was sampled up to now; the journal has been read up to there. */
  judgeAll(spellsOf: (id: string) => readonly Spell[], baseLimit: number): string[] {
    const verdicts = this.#stays.map((stay) =>
      judge(this.#samples, stay, spellsOf(stay.id), baseLimit),
    );
    for (const { windows, highestShare } of verdicts) {
      this.total.windows += windows;
      this.total.highestShare = Math.max(this.total.highestShare, highestShare);
    }
    // The last sample starts the windows to come.
    this.#samples = this.#samples.slice(-1);
    const startMs = this.#samples[0]?.beforeMs ?? 0;
    for (const stay of this.#stays.filter(({ untilMs }) => untilMs < startMs))
      this.#stays.splice(this.#stays.indexOf(stay), 1);
    return verdicts.flatMap(({ excesses }) => excesses);
  }

  close(): void {
    this.#netlink.close();
  }
}
