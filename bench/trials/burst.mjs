// Forks n guests at once: when each is usable, and when its limits are in place, in milliseconds from the first call.
// Meanwhile the event loop's delay is watched, as its own timer sees it.

import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { answer, openTrial, request, trialOptions, warmUp } from "./agent.mjs";

const RESOLUTION_MS = 1;
const MARK_MS = 5;

const options = trialOptions();
const { n, pool, warmUps } = options;
const network = await openTrial(options);
await warmUp(network, warmUps, pool);

const requests = Array.from({ length: n }, (_, i) => request(i));
/** @type {number[]} */
const usableMs = [];
/** @type {number[]} */
const shapedMs = [];
let warm = 0;
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();
// Its first tick only sets the mark that the next is measured from; without it the calls themselves go unseen.
await sleep(MARK_MS);
const startMs = performance.now();
await Promise.all(
  requests.map(async (wanted) => {
    const allocation = await network.createAllocation(wanted);
    usableMs.push(performance.now() - startMs);
    if (allocation.shaping === "pending") warm += 1;
    await allocation.shaped;
    shapedMs.push(performance.now() - startMs);
  }),
);
delay.disable();
await network.destroy();
const [p50, p99, max] = [delay.percentile(50), delay.percentile(99), delay.max].map(
  (ns) => ns / 1e6,
);
answer({ usableMs, shapedMs, warm, delayMs: { samples: delay.count, p50, p99, max } });
