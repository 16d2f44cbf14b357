// The doctor as a test asks it: one finding, and what becomes of it when its commands are run.

import { execFileSync } from "node:child_process";
import { expect } from "vitest";
import { type Diagnosis, diagnose } from "../../dist/doctor/doctor.js";
import type { Finding } from "../../dist/doctor/finding.js";
import { BRIDGE } from "./network.js";

/** The finding of one check; fails when there is not exactly one. */
export function findingOf({ findings }: Pick<Diagnosis, "findings">, check: string): Finding {
  const found = findings.filter((finding) => finding.check === check);
  expect(found, check).toHaveLength(1);
  return found[0] as Finding;
}

/** Looks at this namespace for one thing. */
export async function lookFor(check: string): Promise<Finding> {
  return findingOf(await diagnose(BRIDGE), check);
}

/** Runs the commands of a finding as an operator would, in this namespace. */
export function mend({ mend: commands }: Finding): void {
  for (const command of commands) execFileSync("sh", ["-ec", command], { stdio: "ignore" });
}

/** Runs a command to create a cause. */
export function sh(command: string): void {
  execFileSync("sh", ["-ec", command], { stdio: ["ignore", "ignore", "inherit"] });
}

/** A finding of this severity that its commands turn into "ok". */
export async function expectMended(
  check: string,
  severity: "warning" | "problem",
  found: RegExp,
): Promise<void> {
  const finding = await lookFor(check);
  expect(finding).toMatchObject({ severity, found: expect.stringMatching(found) as string });
  expect(finding.mend).not.toEqual([]);
  mend(finding);
  expect(await lookFor(check)).toMatchObject({ severity: "ok", mend: [] });
}
