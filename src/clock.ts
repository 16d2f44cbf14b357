// One clock for every thread, so that a worker's time stamps can become spans on the main thread.

/**
 * performance.now() counts from the thread's start; this is where that stands on CLOCK_MONOTONIC.
 */
const threadStartMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Milliseconds of CLOCK_MONOTONIC with fractions; the same in all threads of the process. */
export function monotonicMs(): number {
  return threadStartMs + performance.now();
}
