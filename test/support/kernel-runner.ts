// Skips a whole kernel test file, hooks included, when kernel-setup.ts found that it cannot run
// here. A skip inside a hook would come too late: the file's own beforeAll has touched the kernel
// by then.

import { type RunnerTestCase, type RunnerTestSuite, TestRunner } from "vitest";

/**
 * Environment variable that carries the reason from the set-up file to the runner, which share no
 * module.
 */
export const SKIP_REASON_VARIABLE = "FORKNET_KERNEL_SKIP";

function skip(task: RunnerTestSuite | RunnerTestCase, note: string): void {
  task.mode = "skip";
  if (task.type === "test") {
    // `note` is what reporters print beside a skipped test; the published type leaves it out.
    task.result = Object.assign({ state: "skip" as const }, { note });
    return;
  }
  for (const child of task.tasks) skip(child, note);
}

export default class KernelRunner extends TestRunner {
  override async onBeforeRunSuite(suite: RunnerTestSuite): Promise<void> {
    const reason = process.env[SKIP_REASON_VARIABLE];
    if (reason !== undefined) skip(suite, reason);
    if (reason !== undefined && suite === suite.file)
      console.warn(`${suite.name}: skipped, ${reason}`);
    await super.onBeforeRunSuite(suite);
  }
}
