// The kills of a campaign in their order, which the seed decides.

import { generator, pick } from "./random.mjs";
import { SCENARIOS, type Scenario } from "./scenarios.mjs";

export type Kill =
  | { kind: "instant"; seed: number; pool: number; ms: number; hasty: boolean }
  | { kind: "operation"; seed: number; pool: number; operations: number }
  | { kind: "aimed"; scenario: Scenario; after: number };

const POOLS = [0, 2, 4];
/** From before the network is open to a second of random calls. */
const LONGEST_LIFE_MS = 1600;
const MOST_OPERATIONS = 1500;
/** Lives whose calls meet what the opening has not cleaned up yet. */
const HASTY_SHARE = 0.4;

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
  return shuffled([...aimed, ...anywhere], random);
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
