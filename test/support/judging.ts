// Whether this kernel tells a guard which bytes a pending checksum will change. Helpers of Debian's
// later kernels do not (6.1.192, 6.12.117): there it takes kfuncs, or networks are refused.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { NetworkOptions } from "../../dist/index.js";
import { IS_BEFORE_6_2 } from "./kernel-release.js";

/** Tried by traffic, in the namespace of the test, where tests are collected. */
export const HELPERS_WORK = helpersWork();

export const CAN_JUDGE = !IS_BEFORE_6_2 || HELPERS_WORK;

/** For networks whose process has no kfuncs. */
export const WITHOUT_KFUNCS: Partial<NetworkOptions> = HELPERS_WORK
  ? {}
  : { unverifiedChecksums: "accept" };

/** For networks that must not send what was not judged. */
export const DROP_WHAT_CANNOT_BE_JUDGED: Partial<NetworkOptions> = CAN_JUDGE
  ? {}
  : { unverifiedChecksums: "drop" };

function helpersWork(): boolean {
  const script = fileURLToPath(new URL("./helper-trial.mjs", import.meta.url));
  return spawnSync(process.execPath, [script]).status === 0;
}
