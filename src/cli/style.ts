// Colours, only where a terminal shows them: not in a pipe, not with NO_COLOR set, not on a dumb
// terminal.

import { styleText } from "node:util";

export type Colour = "red" | "green" | "yellow" | "cyan" | "bold" | "dim";

/** NO_COLOR counts when it is not empty (no-color.org). */
export function isColourful(
  stream: { isTTY?: boolean } = process.stdout,
  environment: NodeJS.ProcessEnv = process.env,
): boolean {
  return stream.isTTY === true && !environment.NO_COLOR && environment.TERM !== "dumb";
}

export function paint(colour: Colour, text: string): string {
  return isColourful() ? styleText(colour, text) : text;
}
