// What the doctor found, for a person: what is wrong first, each with the command that mends it.

import type { Diagnosis } from "../doctor/doctor.js";
import type { Finding, Severity } from "../doctor/finding.js";
import { paint } from "./style.js";

const ORDER: readonly Severity[] = ["problem", "warning", "ok"];
const COLOURS = { problem: "red", warning: "yellow", ok: "green" } as const;
const SEVERITY_WIDTH = "problem".length;

export function formatDiagnosis({ findings, counts }: Diagnosis): string {
  const ordered = ORDER.flatMap((severity) =>
    findings.filter((finding) => finding.severity === severity),
  );
  const width = Math.max(...ordered.map(({ check }) => check.length));
  const lines = ordered.flatMap((finding) => formatFinding(finding, width));
  const { problem, warning, ok } = counts;
  return [...lines, `${problem} problems, ${warning} warnings, ${ok} ok`].join("\n");
}

function formatFinding(finding: Finding, width: number): string[] {
  const { check, severity, why, mend } = finding;
  const shown = paint(COLOURS[severity], severity.padEnd(SEVERITY_WIDTH));
  const head = `${shown}  ${check.padEnd(width)}  ${printable(finding.found)}`;
  if (severity === "ok") return [head];
  const indent = " ".repeat(SEVERITY_WIDTH + 2);
  return [
    head,
    `${indent}why: ${why}`,
    ...mend.map((command) => `${indent}mend: ${printable(command)}`),
  ];
}

/** The name of a link may hold what a terminal obeys. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?");
}
