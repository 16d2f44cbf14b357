// vitest's reporter in a virtual machine: one JSON line a test file into $FORKNET_RESULTS, as soon as the file has
// ended, so that what ran is known however the machine ends. Reading the lines is left to kernel-report.mjs.

import { appendFileSync } from "node:fs";

export default class KernelReporter {
  /** @param {import("vitest/node").TestModule} module */
  onTestModuleEnd(module) {
    const tests = [...module.children.allTests()];
    const named = (/** @type {string} */ state) =>
      tests.filter((test) => test.result().state === state).map(({ fullName }) => fullName);
    // Hooks and imports fail outside any test.
    const errors = module.errors().map(({ message }) => message.split("\n")[0]);
    const result = {
      file: module.relativeModuleId,
      passed: named("passed").length,
      failed: [...named("failed"), ...errors],
      skipped: named("skipped").length,
      seconds: Math.round(module.diagnostic().duration / 1000),
    };
    appendFileSync(process.env.FORKNET_RESULTS ?? "/dev/null", `${JSON.stringify(result)}\n`);
  }
}
