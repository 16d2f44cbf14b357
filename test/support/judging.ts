// Whether this kernel tells a guard which bytes a pending checksum will change. Debian's Linux 6.1 does
// not from 6.1.190 on, where networks are refused or drop all such frames.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { NetworkOptions } from "../../dist/index.js";
import { IS_BEFORE_6_2 } from "./kernel-release.js";

/** By traffic, in the namespace of the test. Asked where tests are collected. */
export function helpersWork(): boolean {
  const script = fileURLToPath(new URL("./helper-trial.mjs", import.meta.url));
  return spawnSync(process.execPath, [script]).status === 0;
}

export const CAN_JUDGE = !IS_BEFORE_6_2 || helpersWork();

/** For networks that must not send what was not judged. */
export const DROP_WHAT_CANNOT_BE_JUDGED: Partial<NetworkOptions> = CAN_JUDGE
  ? {}
  : { unverifiedChecksums: "drop" };
