// The kills of a campaign in their order, which the seed decides.

import type { ThreadDeath } from "./life.js";
import { generator, pick } from "./random.mjs";
import { SCENARIOS, type Scenario } from "./scenarios.mjs";

export type Kill =
  | { kind: "instant"; seed: number; pool: number; ms: number; hasty: boolean }
  | { kind: "operation"; seed: number; pool: number; operations: number }
  | { kind: "aimed"; scenario: Scenario; after: number }
  | { kind: "worker"; seed: number; pool: number; operations: number; thread: ThreadDeath }
  | { kind: "aimedWorker"; scenario: Scenario; after: number; thread: ThreadDeath };

const POOLS = [0, 2, 4];
/** From before the network is open to a second of random calls. */
const LONGEST_LIFE_MS = 1600;
const MOST_OPERATIONS = 1500;
/** Lives whose calls meet what the opening has not cleaned up yet. */
const HASTY_SHARE = 0.4;
/** A worker dies in so many of the gaps, and so often for each random kill of the process. */
const WORKER_SHARE = 1 / 3;
const MOST_WORKER_OPERATIONS = 300;
const WORKERS = ["create", "shape", "reap"] as const;
const DEATHS = ["throw", "exit", "memory"] as const;

/**
 * `operations` are how many each scenario has: every gap between two of them is a kill, and so are the ones before the
 * first and after the last. `aims` bounds them; what is left out is random.
 */
export function planKills(
  seed: number,
  kills: number,
  operations: ReadonlyMap<string, number>,
  aims = Number.POSITIVE_INFINITY,
): Kill[] {
  const random = generator(seed);
  const gaps = SCENARIOS.flatMap((scenario) =>
    Array.from({ length: (operations.get(scenario.name) ?? -1) + 1 }, (_, after): Kill => {
      return { kind: "aimed", scenario, after };
    }),
  );
  const aimed = shuffled(gaps, random).slice(0, aims);
  const anywhere = Array.from({ length: kills }, (_, i): Kill => {
    const life = { seed: seed + i, pool: pick(random, POOLS) };
    return i % 2 === 0
      ? { kind: "instant", ...life, ms: random() * LONGEST_LIFE_MS, hasty: random() < HASTY_SHARE }
      : { kind: "operation", ...life, operations: Math.floor(random() * MOST_OPERATIONS) };
  });
  return shuffled([...aimed, ...anywhere, ...workerDeaths(seed, kills, aimed, random)], random);
}

/** On top: threads that die in a process that lives. */
function workerDeaths(
  seed: number,
  kills: number,
  aimed: readonly Kill[],
  random: () => number,
): Kill[] {
  const death = () => pick(random, DEATHS);
  const inGaps = aimed.flatMap((kill): Kill[] =>
    kill.kind === "aimed" && random() < WORKER_SHARE
      ? [{ ...kill, kind: "aimedWorker", thread: { worker: "any", death: death() } }]
      : [],
  );
  const anywhere = Array.from({ length: Math.ceil(kills * WORKER_SHARE) }, (_, i): Kill => {
    const operations = Math.floor(random() * MOST_WORKER_OPERATIONS);
    const thread = { worker: pick(random, WORKERS), death: death() };
    return {
      kind: "worker",
      seed: seed + kills + i,
      pool: pick(random, POOLS),
      operations,
      thread,
    };
  });
  return [...inGaps, ...anywhere];
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
