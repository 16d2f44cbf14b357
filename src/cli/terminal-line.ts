// A line that fits a terminal: cut by what is shown, not by the escape sequences in it.

import { stripVTControlCharacters } from "node:util";

/** A line that is too long loses its colours. */
export function cut(line: string, columns: number): string {
  const shown = stripVTControlCharacters(line);
  return shown.length <= columns ? line : shown.slice(0, columns);
}
