// A lane's worker without a kernel, for test/unit/worker-thread.test.ts: it answers each job with the job, and dies when
// it is told to; on loading, while the file FORKNET_TEST_STILLBORN exists.

import { existsSync } from "node:fs";
import { die } from "./death.mjs";

if (existsSync(process.env.FORKNET_TEST_STILLBORN ?? "")) process.exit(5);

const TIME = { startedMs: 1, endedMs: 2 };

export default async function work({ method, jobs }) {
  if (method === "port") return [{ ok: true, value: 1, ...TIME }];
  for (const job of jobs) {
    if (!job.death) continue;
    die(job.death);
    // What is thrown takes effect when this turn is over; nothing is answered.
    await new Promise(() => {});
  }
  return jobs.map((value) => ({ ok: true, value, ...TIME }));
}
