// Forks n guests one after the other; none is released. `paceMs` lies between two forks: 0 for at once.

import { setTimeout as sleep } from "node:timers/promises";
import { answer, openTrial, request, trialOptions, warmUp } from "./agent.mjs";

const options = trialOptions();
const { n, pool, paceMs, warmUps, owner } = options;
const network = await openTrial(options);
await warmUp(network, warmUps, pool);

const us = [];
let warm = 0;
for (let i = 0; i < n; i++) {
  if (paceMs > 0) await sleep(paceMs);
  const wanted = { ...request(i), ...(owner === undefined ? {} : { owner }) };
  const startMs = performance.now();
  const allocation = await network.createAllocation(wanted);
  us.push((performance.now() - startMs) * 1000);
  if (allocation.shaping === "pending") warm += 1;
}
await Promise.all(network.listAllocations().map(({ shaped }) => shaped));
await network.destroy();
answer({ us, warm });
