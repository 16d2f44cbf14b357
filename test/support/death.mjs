// The three deaths of a worker thread.

/** @typedef {"throw" | "exit" | "memory"} Death */

/** @type {readonly Death[]} */
export const DEATHS = ["throw", "exit", "memory"];
const EXIT_CODE = 7;

/**
 * "throw" takes effect when the thread's present turn is over, the others at once.
 * @param {Death} death
 */
export function die(death) {
  if (death === "exit") process.exit(EXIT_CODE);
  if (death === "throw")
    queueMicrotask(() => {
      throw new Error("thrown by the test");
    });
  const hog = [];
  while (death === "memory") hog.push(Array.from({ length: 10_000 }, (_, i) => ({ i })));
  return undefined;
}
