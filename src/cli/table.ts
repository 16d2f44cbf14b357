// Columns for a terminal.

import { stripVTControlCharacters } from "node:util";

/** Left-aligned text columns, right-aligned numbers, two spaces between. */
export function formatTable(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const cells = [head, ...rows.map((row) => row.map(String))];
  const widths = head.map((_, column) =>
    Math.max(...cells.map((row) => shownLength(row[column] as string))),
  );
  const isNumber = head.map((_, column) => rows.every((row) => typeof row[column] === "number"));
  return cells
    .map((row) =>
      row
        .map((cell, column) => {
          const width = widths[column] as number;
          const space = " ".repeat(width - shownLength(cell));
          return isNumber[column] ? `${space}${cell}` : `${cell}${space}`;
        })
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Colours take no room. */
function shownLength(cell: string): number {
  return stripVTControlCharacters(cell).length;
}
