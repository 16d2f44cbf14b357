// One clock for every thread, so that a worker's time stamps can become spans on the main thread.

/** Milliseconds of CLOCK_MONOTONIC with fractions; the same in all threads of the process. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
