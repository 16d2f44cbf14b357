// Puts a kernel test file into a network namespace of its own, and fails it when it leaves
// something behind. Where the privileges are missing it skips the file (see kernel-runner.ts), or
// fails it with FORKNET_REQUIRE_KERNEL=1.

import { aroundAll } from "vitest";
import { loadAddon } from "../../src/kernel/addon.js";
import type { Addon } from "../../src/kernel/binding.js";
import { SKIP_REASON_VARIABLE } from "./kernel-runner.js";
import { readKernelState, settledDifference } from "./kernel-state.js";
import { enterNamespace } from "./namespace.js";
import { patiently } from "./patience.js";

const SETTLE_MS = 3000;
const REMEDY =
  "run them as root on Linux with /dev/net/tun and BPF (CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_BPF), e.g. sudo npm run test:kernel";

/** Uses once what every kernel test uses. Throws what the kernel says. */
function tryKernel(addon: Addon): void {
  addon.closeFd(addon.openTap({ name: "probe0" }).fd);
  addon.closeFd(
    addon.bpf.createMap({ name: "probe", type: "hash", keySize: 4, valueSize: 4, maxEntries: 1 })
      .fd,
  );
}

/**
 * libuv makes the pipe behind signals and child processes at first use and keeps it: that is no
 * leak of a test's.
 */
function openLazyFiles(): void {
  const ignore = (): void => undefined;
  process.on("SIGUSR2", ignore);
  process.off("SIGUSR2", ignore);
}

const addon = loadAddon();
let skipReason: string | undefined;
try {
  enterNamespace(addon);
  tryKernel(addon);
} catch (error) {
  skipReason = `kernel tests cannot run: ${error instanceof Error ? error.message : String(error)}; ${REMEDY}`;
  if (process.env.FORKNET_REQUIRE_KERNEL === "1") throw new Error(skipReason, { cause: error });
}
if (skipReason !== undefined) process.env[SKIP_REASON_VARIABLE] = skipReason;
else delete process.env[SKIP_REASON_VARIABLE];

// Around the whole file: its own afterAll hooks have run when the comparison is made.
aroundAll(async (runFile) => {
  openLazyFiles();
  const before = readKernelState(addon);
  await runFile();
  const left = await settledDifference(before, () => readKernelState(addon), patiently(SETTLE_MS));
  if (left.length > 0)
    throw new Error(`the file left the kernel in another state:\n${left.join("\n")}`);
});
