// The cost of statistics() with n guests: how long one pass takes, what it does to the event loop,
// and to forks that are made while passes run without a pause.

import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { answer, openTrial, request, trialOptions, warmUp } from "./agent.mjs";

const FORKS = 50;

const options = trialOptions();
const { n, passes } = options;
const network = await openTrial(options);
await warmUp(network, 100, 0);
const forks = Array.from({ length: n }, (_, i) => network.createAllocation(request(i)));
for (const { shaped } of await Promise.all(forks)) await shaped;

/** Milliseconds of single cold forks. */
async function forkMs() {
  const samples = [];
  for (let i = 0; i < FORKS; i++) {
    const startMs = performance.now();
    await network.createAllocation(request(`extra-${i}`));
    samples.push(performance.now() - startMs);
    await network.releaseAllocation(`vm-extra-${i}`);
  }
  return samples;
}

await network.statistics();
await sleep(100);
const loop = monitorEventLoopDelay({ resolution: 1 });
loop.enable();
const passMs = [];
for (let i = 0; i < passes; i++) {
  const startMs = performance.now();
  await network.statistics();
  passMs.push(performance.now() - startMs);
}
loop.disable();
const aloneMs = await forkMs();
let isOver = false;
const reader = (async () => {
  while (!isOver) await network.statistics();
})();
const besideMs = await forkMs();
isOver = true;
await reader;
await network.destroy();
answer({ passMs, loopMaxMs: loop.max / 1e6, aloneMs, besideMs });
