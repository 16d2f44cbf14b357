// What the doctor says about one thing. A stable shape: `forknet doctor --json` prints it as it is.

/** `problem`: forknet does not work, or not rightly. `warning`: it works, worse or not for long. */
export type Severity = "ok" | "warning" | "problem";

export interface Finding {
  /** What was looked at, for machines: "feature.htb", "host.ip-forward". Stable. */
  check: string;
  severity: Severity;
  /** What there is. */
  found: string;
  /** Why it matters, in a phrase. */
  why: string;
  /** Commands that mend it, to be run in this order; none when all is well. */
  mend: string[];
}

/** Makes the findings of one check, which all matter for the same reason. */
export function about(check: string, why: string) {
  const make =
    (severity: Severity) =>
    (found: string, ...mend: string[]): Finding => ({ check, severity, found, why, mend });
  return { ok: make("ok"), warning: make("warning"), problem: make("problem") };
}
