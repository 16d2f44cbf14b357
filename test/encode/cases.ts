// Every message beside the command whose bytes it must match, and the fields in which it may not,
// with reasons.
import type { Message } from "../../src/kernel/messages.js";
import { linkCases } from "./link-cases.js";
import { tcCases } from "./tc-cases.js";

export interface Case {
  /** "area/name" of a fixture in golden/. */
  golden: string;
  message: Message;
  /** The paths (see decode.ts) at which our bytes differ from iproute2's, each with the reason. */
  differs?: Record<string, string>;
}

export const cases: Case[] = [...linkCases, ...tcCases];
