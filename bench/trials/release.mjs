// Releases `release` of n guests, all at once or one after the other, and tells when each was gone.

import { answer, openTrial, request, trialOptions, warmUp } from "./agent.mjs";

const options = trialOptions();
const { n, release, oneByOne, warmUps } = options;
const network = await openTrial(options);
await warmUp(network, warmUps, 0);
await Promise.all(Array.from({ length: n }, (_, i) => network.createAllocation(request(i))));

/** @type {number[]} */
const goneMs = [];
const ids = network.listAllocations().map(({ instanceId }) => instanceId);
const startMs = performance.now();
const leave = async (/** @type {string} */ id) => {
  await network.releaseAllocation(id);
  goneMs.push(performance.now() - startMs);
};
if (oneByOne) for (const id of ids.slice(0, release)) await leave(id);
else await Promise.all(ids.slice(0, release).map(leave));
await network.destroy();
answer({ goneMs });
