// Rows as text: aligned for a terminal, or Markdown.

import { rounded } from "./statistics.mjs";

/** @typedef {Record<string, string | number>} Row */

/** @param {readonly Row[]} rows */
export function formatTable(rows) {
  const [header, ...body] = cells(rows);
  if (!header) return "(nothing)";
  const widths = header.map((_, column) =>
    Math.max(...[header, ...body].map((row) => row[column]?.length ?? 0)),
  );
  const isNumber = header.map((name) => typeof rows[0]?.[name] === "number");
  const line = (/** @type {string[]} */ row) =>
    row
      .map((cell, i) => (isNumber[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join("  ")
      .trimEnd();
  return [header, ...body].map((row) => `  ${line(row)}`).join("\n");
}

/** @param {readonly Row[]} rows */
export function markdownTable(rows) {
  const [header, ...body] = cells(rows);
  if (!header) return "";
  const rule = header.map((name) => (typeof rows[0]?.[name] === "number" ? "--:" : "---"));
  return [header, rule, ...body].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/**
 * @param {ReturnType<typeof import("./budgets.mjs").judge>} verdicts
 * @returns {Row[]}
 */
export function budgetRows(verdicts) {
  return verdicts.map(({ name, side, limit, unit, value, isMet }) => ({
    budget: name,
    limit: `${side} ${rounded(limit)}${unit && ` ${unit}`}`,
    measured: `${rounded(value)}${unit && ` ${unit}`}`,
    "": isMet ? "met" : "MISSED",
  }));
}

/** The header and every row as strings. @param {readonly Row[]} rows */
function cells(rows) {
  const header = Object.keys(rows[0] ?? {});
  return header.length === 0
    ? []
    : [header, ...rows.map((row) => header.map((name) => String(row[name] ?? "")))];
}
