// Resident memory of an agent: before it opens the network, with the network open, and with n guests.

import { setTimeout as sleep } from "node:timers/promises";
import { answer, openTrial, request, trialOptions } from "./agent.mjs";

const SETTLE_MS = 500;
const megabytes = () => process.memoryUsage.rss() / 1e6;

const options = trialOptions();
const startMb = megabytes();
const network = await openTrial(options);
const openMb = megabytes();
const forks = Array.from({ length: options.n }, (_, i) => network.createAllocation(request(i)));
for (const { shaped } of await Promise.all(forks)) await shaped;
await sleep(SETTLE_MS);
const guestsMb = megabytes();
await network.destroy();
answer({ startMb, openMb, guestsMb });
