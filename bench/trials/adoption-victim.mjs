// The agent that adoption.mjs kills: forks n guests, says so, and goes on living.

import { answer, openTrial, request, trialOptions } from "./agent.mjs";

const options = trialOptions();
const network = await openTrial(options);
const forks = Array.from({ length: options.n }, (_, i) => network.createAllocation(request(i)));
for (const { shaped } of await Promise.all(forks)) await shaped;
answer({ ready: true });
setInterval(() => {}, 1000);
