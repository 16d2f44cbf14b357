// The meter of data-path.mjs, a process of its own: at 10 gbit/s its buffers keep the garbage collector busy, and in an
// agent's process every collection would walk the agent's thousand guests, too. It plugs in the stand-in guest,
// and answers each "measure" of its parent.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { startGuest } from "../../dist/stand-in/guest.js";
import { measureTcp } from "../../dist/stand-in/traffic.js";
import { measureEcho } from "./echo.mjs";

const WARM_UP_SECONDS = 0.3;
/** Counted now: a pinned process is told of the processors it is pinned to only. */
const ALL_PROCESSORS = `0-${availableParallelism() - 1}`;

const {
  guest: plug,
  outerIp,
  hostIp,
  seconds,
  echoes,
  flows,
} = JSON.parse(process.argv[2] ?? "{}");
const guest = await startGuest(plug);

const throughput = async (/** @type {"upload" | "download"} */ direction) => {
  const timing = { seconds, warmUpSeconds: WARM_UP_SECONDS };
  const flow = { guest, hostIp, guestSeesHostIp: plug.gateway, direction, ...timing };
  let best = 0;
  for (let i = 0; i < flows; i++) best = Math.max(best, (await measureTcp(flow)).bitsPerSecond);
  return best / 1e9;
};

/**
 * Keeps this process and the guest's on these processors. Left free, a round trip takes 35 us or 100 us, depending on
 * whether it has to wake a halted processor, and that choice hides everything else.
 * @param {string} processors
 */
function pin(processors) {
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8");
  for (const pid of [process.pid, ...children.trim().split(" ")]) {
    execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", processors, String(pid)]);
  }
}

async function measure() {
  const uploadGbit = await throughput("upload");
  const downloadGbit = await throughput("download");
  pin("0");
  const echo = await measureEcho(guest, outerIp, echoes);
  pin(ALL_PROCESSORS);
  process.send?.({ uploadGbit, downloadGbit, echo });
}

async function end() {
  await guest.stop();
  process.exit(0);
}

process.on("message", () => void measure());
process.on("disconnect", () => void end());
process.send?.("ready");
