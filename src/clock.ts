// One clock for every thread, so that a worker's time stamps can become spans on the main thread.

// The first call of either takes up to half a millisecond, which must not end up in the difference.
performance.now();
process.hrtime.bigint();

/** performance.now() counts from the thread's start; this is where that is on CLOCK_MONOTONIC. */
const threadStartMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** Milliseconds of CLOCK_MONOTONIC with fractions; the same in all threads of the process. */
export function monotonicMs(): number {
  return threadStartMs + performance.now();
}
