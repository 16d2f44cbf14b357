// Forks while others are released. `live` guests are there from the start; then every `paceMs` a fork, and for each the
// release of the oldest, which nobody waits for. With `batch` all releases come at once, before the first fork.

import { setTimeout as sleep } from "node:timers/promises";
import { answer, openTrial, request, trialOptions, untilTaps, warmUp } from "./agent.mjs";

const options = trialOptions();
const { live, n, pool, paceMs, batch, warmUps } = options;
const network = await openTrial(options);
await warmUp(network, warmUps, pool);
for (let i = 0; i < live; i++) await (await network.createAllocation(request(`old-${i}`))).shaped;
await untilTaps(live + pool);

const oldest = network.listAllocations().map(({ instanceId }) => instanceId);
/** @type {Promise<void>[]} */
const releases = [];
const release = () => {
  const instanceId = oldest.shift();
  if (instanceId !== undefined) releases.push(network.releaseAllocation(instanceId));
};
const startMs = performance.now();
if (batch) while (oldest.length > 0) release();
let releasedMs = 0;
void Promise.all(releases).then(() => {
  releasedMs = performance.now() - startMs;
});

const us = [];
let during = 0;
for (let i = 0; i < n; i++) {
  if (!batch) release();
  await sleep(paceMs);
  const wanted = request(i);
  const askedMs = performance.now();
  await network.createAllocation(wanted);
  us.push((performance.now() - askedMs) * 1000);
  oldest.push(wanted.instanceId);
  if (batch && releasedMs === 0) during += 1;
}
await Promise.all(releases);
await network.destroy();
// Of a batch only the forks that met a release under way count.
answer({ us: batch ? us.slice(0, Math.max(during, 1)) : us, releasedMs });
