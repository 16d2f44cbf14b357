// What the doctor found, for a person: what is wrong first, each with the command that mends it.

import { styleText } from "node:util";
import type { Diagnosis } from "../doctor/doctor.js";
import type { Finding, Severity } from "../doctor/finding.js";

const ORDER: readonly Severity[] = ["problem", "warning", "ok"];
const COLOURS = { problem: "red", warning: "yellow", ok: "green" } as const;
const SEVERITY_WIDTH = "problem".length;

/** `coloured`: with the escape sequences of a terminal. */
export function formatDiagnosis({ findings, counts }: Diagnosis, coloured: boolean): string {
  const ordered = ORDER.flatMap((severity) =>
    findings.filter((finding) => finding.severity === severity),
  );
  const width = Math.max(...ordered.map(({ check }) => check.length));
  const lines = ordered.flatMap((finding) => formatFinding(finding, width, coloured));
  const { problem, warning, ok } = counts;
  return `${lines.join("\n")}\n${problem} problems, ${warning} warnings, ${ok} ok\n`;
}

function formatFinding(
  { check, severity, found, why, mend }: Finding,
  width: number,
  coloured: boolean,
): string[] {
  const padded = severity.padEnd(SEVERITY_WIDTH);
  const shown = coloured ? styleText(COLOURS[severity], padded, { validateStream: false }) : padded;
  const head = `${shown}  ${check.padEnd(width)}  ${found}`;
  if (severity === "ok") return [head];
  const indent = " ".repeat(SEVERITY_WIDTH + 2);
  return [head, `${indent}why: ${why}`, ...mend.map((command) => `${indent}mend: ${command}`)];
}
