// Kills aimed at plans that need a network of their own beside the campaign's: making one from nothing, and removing it.
// What is left of it the campaign's next check finds: it reads the whole namespace.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ChaosError, overInTime } from "./chaos-error.js";
import { type Entry, Life, type Orders, type ThreadDeath } from "./life.js";

const SUBNET = { bridge: "vmbr1", subnet: "10.101.0.0/24", baseLimit: 1_000_000, translate: true };

type Counted = Extract<Entry, { event: "counted" }>;

/**
 * Lets a driver (with `thread`: one of its workers) die after so many operations of the plan, or after all of it without
 * `after`, and lets the next one open what is left and destroy it. Returns the plan's operations; undefined when the driver died in it.
 */
export async function aimAside(
  { name, pool }: { name: string; pool: number },
  after?: number,
  thread?: ThreadDeath,
): Promise<Counted | undefined> {
  const stateDir = mkdtempSync(join(tmpdir(), "forknet-chaos-side-"));
  const options = { ...SUBNET, stateDir, pool: { size: pool } };
  const victim = thread ? `a worker dead by ${thread.death}` : "killed";
  const where = `"${name}", ${victim} after ${after ?? "all"} operations`;
  try {
    const counted = await live(
      {
        seed: 0,
        options,
        scenario: name,
        ...(after === undefined ? {} : { after }),
        ...(thread ? { thread } : {}),
      },
      where,
    );
    const end = new Life({ seed: 0, options, end: true }, () => {});
    await overInTime(end, where);
    if (end.end !== 0)
      throw new ChaosError(where, [`removing what was left ended with ${end.end}`]);
    return counted;
  } finally {
    rmSync(stateDir, { recursive: true, force: true });
  }
}

async function live(orders: Orders, where: string): Promise<Counted | undefined> {
  const life = new Life(orders, () => {});
  void life.until("settled").then((settled) => settled && life.tell({ go: true }));
  const counted = await Promise.race([life.until("counted"), overInTime(life, where)]);
  if (counted) await life.kill();
  if (life.end !== "SIGKILL") throw new ChaosError(where, [`the driver ended with ${life.end}`]);
  return counted;
}
