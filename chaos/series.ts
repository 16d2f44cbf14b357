// Runs the kills of a campaign one after the other: counts the plans' operations first, and ends by destroying the network.

import type { Campaign } from "./campaign.js";
import { ChaosError } from "./chaos-error.js";
import { type Kill, planKills } from "./plan.js";
import { SCENARIOS } from "./scenarios.mjs";
import { aimAside } from "./side.js";

export interface Outcome {
  /** Operations of each plan that was aimed at. */
  operations: ReadonlyMap<string, number>;
  instants: number;
  atOperations: number;
  aimed: number;
  /** Aimed kills whose plan was over before: what runs beside it in the background was shorter this time. */
  missed: number;
  /** Worker threads that died under random calls, in a process that lived. */
  workers: number;
  aimedWorkers: number;
  /** Gaps of the main thread's, or after the plan's end. */
  missedWorkers: number;
}

export interface SeriesOptions {
  kills: number;
  seed: number;
  /** Only this plan is aimed at. */
  plan?: string | undefined;
  /** At most so many aimed kills; default all. */
  aims?: number;
}

/** Random calls before the plans are counted: a network with guests on it. */
const WARM_UP_MS = 1500;

export async function runKills(
  campaign: Campaign,
  { kills, seed, plan, aims }: SeriesOptions,
  tell: (done: number, all: number) => void,
): Promise<Outcome> {
  await campaign.ready();
  await campaign.killAfterMs(seed, 2, WARM_UP_MS);
  const operations = new Map<string, number>();
  for (const scenario of SCENARIOS) {
    if (aims === 0 || (plan !== undefined && plan !== scenario.name)) continue;
    const done = scenario.side ? await aimAside(scenario) : await campaign.count(scenario);
    operations.set(scenario.name, done?.operations.length ?? 0);
  }
  const all = planKills(seed, kills, operations, aims);
  const outcome = {
    operations,
    instants: 0,
    atOperations: 0,
    aimed: 0,
    missed: 0,
    workers: 0,
    aimedWorkers: 0,
    missedWorkers: 0,
  };
  for (const [i, one] of all.entries()) {
    try {
      await carryOut(campaign, one, outcome);
    } catch (error) {
      throw error instanceof ChaosError
        ? new ChaosError(`kill ${i + 1} of ${all.length}`, error.message.split("\n"))
        : error;
    }
    tell(i + 1, all.length);
  }
  await campaign.finish();
  return outcome;
}

async function carryOut(campaign: Campaign, kill: Kill, outcome: Outcome): Promise<void> {
  if (kill.kind === "instant") {
    if (kill.hasty) await campaign.killInHaste(kill.seed, kill.pool, kill.ms);
    else await campaign.killAfterMs(kill.seed, kill.pool, kill.ms);
    outcome.instants += 1;
  } else if (kill.kind === "operation") {
    await campaign.killAfterOperations(kill.seed, kill.pool, kill.operations);
    outcome.atOperations += 1;
  } else if (kill.kind === "worker") {
    await campaign.killWorker(kill.seed, kill.pool, kill.operations, kill.thread);
    outcome.workers += 1;
  } else if (kill.kind === "aimedWorker") {
    const { scenario, after, thread } = kill;
    const isHit = scenario.side
      ? (await aimAside(scenario, after, thread))?.died
      : await campaign.aimAtWorker(scenario, after, thread);
    outcome.aimedWorkers += 1;
    if (!isHit) outcome.missedWorkers += 1;
  } else {
    const { scenario, after } = kill;
    const isHit = scenario.side
      ? (await aimAside(scenario, after)) === undefined
      : await campaign.aim(scenario, after);
    outcome.aimed += 1;
    if (!isHit) outcome.missed += 1;
  }
}
