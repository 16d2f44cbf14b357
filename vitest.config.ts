// The three kinds of test: unit (no kernel, no addon), encode (golden bytes, no privileges) and kernel (own namespaces).
// Workers and stand-in guests are compiled files, so a build comes first.

import { defineConfig } from "vitest/config";
import { patiently } from "./test/support/patience.js";

const KERNEL_TEST_TIMEOUT_MS = patiently(30_000);
const KERNEL_HOOK_TIMEOUT_MS = patiently(30_000);
const KERNEL_POLL_TIMEOUT_MS = patiently(5000);

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts"] } },
      { test: { name: "encode", include: ["test/encode/**/*.test.ts"] } },
      {
        test: {
          name: "kernel",
          include: ["test/kernel/**/*.test.ts"],
          // One process a file: unshare(2) moves the main thread of the process, and there is no way back.
          pool: "forks",
          isolate: true,
          maxWorkers: 1,
          fileParallelism: false,
          // A group of its own, after the others: traffic tests want the machine for themselves.
          sequence: { groupOrder: 1 },
          setupFiles: ["test/support/kernel-setup.ts"],
          runner: "test/support/kernel-runner.ts",
          testTimeout: KERNEL_TEST_TIMEOUT_MS,
          hookTimeout: KERNEL_HOOK_TIMEOUT_MS,
          expect: { poll: { timeout: KERNEL_POLL_TIMEOUT_MS } },
        },
      },
    ],
  },
});
