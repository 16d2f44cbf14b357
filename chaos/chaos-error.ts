// What a campaign found to be wrong, and where; a driver that is stuck among it.

import { setTimeout as sleep } from "node:timers/promises";
import type { Life } from "./life.js";

const SLICE_MS = 100;
const MOST_SLICES = 400;

export class ChaosError extends Error {
  constructor(where: string, differences: readonly string[]) {
    super(`${where}:\n${differences.map((line) => `  ${line}`).join("\n")}`);
  }
}

/** Resolves when the driver has ended, and rejects when it has not after a long while. */
export async function overInTime(life: Life, where: string): Promise<undefined> {
  // In slices: when the whole machine stood still, that was one of them.
  for (let i = 0; i < MOST_SLICES && life.end === null; i++)
    await Promise.race([life.over(), sleep(SLICE_MS, undefined, { ref: false })]);
  if (life.end === null) throw new ChaosError(where, ["the driver is stuck"]);
  await life.over();
}
