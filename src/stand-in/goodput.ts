// Goodput as a receiver sees it: from the first arrival after the warm-up to the last one.
// Pure arithmetic on time stamps; who reads the socket is left to tcp-flow.ts.

/** What a receiver measured. `bytes` and `seconds` cover the measured part only. */
export interface Goodput {
  bitsPerSecond: number;
  bytes: number;
  seconds: number;
}

interface Arrival {
  atNs: bigint;
  total: number;
}

/**
 * Counts arrivals. The chunk that opens the measurement marks its start and is not counted itself:
 * its bytes were on their way before. Sender-side buffers therefore change nothing, and neither
 * does the idle time around a flow.
 */
export class GoodputMeter {
  readonly #warmUpNs: bigint;
  #firstNs: bigint | undefined;
  #start: Arrival | undefined;
  #last: Arrival | undefined;
  #total = 0;

  constructor(warmUpMs: number) {
    this.#warmUpNs = BigInt(Math.round(warmUpMs * 1e6));
  }

  /** Every byte so far, the warm-up included. */
  get totalBytes(): number {
    return this.#total;
  }

  /** Notes `bytes` that arrived at `atNs` (process.hrtime.bigint()). */
  add(bytes: number, atNs: bigint): void {
    this.#total += bytes;
    this.#firstNs ??= atNs;
    if (atNs - this.#firstNs < this.#warmUpNs) return;
    this.#last = { atNs, total: this.#total };
    this.#start ??= this.#last;
  }

  /** 0 bits per second when fewer than two chunks arrived after the warm-up. */
  read(): Goodput {
    const { bytes, ns } =
      this.#start && this.#last
        ? {
            bytes: this.#last.total - this.#start.total,
            ns: Number(this.#last.atNs - this.#start.atNs),
          }
        : { bytes: 0, ns: 0 };
    const seconds = ns / 1e9;
    return { bitsPerSecond: seconds > 0 ? (bytes * 8) / seconds : 0, bytes, seconds };
  }
}
