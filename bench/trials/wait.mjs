// How long a VMM waits to open its TAP while n guests of somebody else's are deleted: by forknet, by the floor (one
// link group), or the usual way. `before` is the same with nobody else at work.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { answer, openTrial, releaseAll, request, trialOptions, warmUp } from "./agent.mjs";
import { monotonicMs, startOpener, waitsBetween } from "./opener.mjs";

const BEFORE_MS = 200;

const options = trialOptions();
const { n, peer, programs, warmUps } = options;

/** Runs a program of the same namespace. @param {string[]} command */
function start([program, ...args]) {
  const child = spawn(/** @type {string} */ (program), args, {
    stdio: ["pipe", "pipe", "inherit"],
  });
  return { child, lines: createInterface({ input: child.stdout }) };
}

async function byForknet() {
  const network = await openTrial(options);
  await warmUp(network, warmUps, 0);
  await Promise.all(Array.from({ length: n }, (_, i) => network.createAllocation(request(i))));
  const opener = await startOpener(programs.opener);
  await sleep(BEFORE_MS);
  const fromMs = monotonicMs();
  await releaseAll(network);
  const toMs = monotonicMs();
  const opens = await opener.stop();
  await network.destroy();
  return { fromMs, toMs, opens };
}

async function byFloor() {
  const opener = await startOpener(programs.opener);
  await sleep(BEFORE_MS);
  const { lines } = start([programs.floor, "full", String(n), "0"]);
  const [line] = await once(lines, "line");
  const { groupAtMs, deleteGroupMs } = JSON.parse(line);
  return { fromMs: groupAtMs, toMs: groupAtMs + deleteGroupMs, opens: await opener.stop() };
}

async function byUsual() {
  const { child, lines } = start([
    programs.usual,
    "-n",
    String(n),
    "-workers",
    "4",
    "-gate",
    "-release",
    String(n),
  ]);
  await once(lines, "line");
  const opener = await startOpener(programs.opener);
  await sleep(BEFORE_MS);
  const fromMs = monotonicMs();
  child.stdin.end("\n");
  await once(lines, "line");
  const toMs = monotonicMs();
  return { fromMs, toMs, opens: await opener.stop() };
}

const run = /** @type {Record<string, typeof byForknet>} */ ({
  forknet: byForknet,
  floor: byFloor,
  usual: byUsual,
})[peer];
const { fromMs, toMs, opens } = await /** @type {typeof byForknet} */ (run)();
const before = opens.atMs[0] ?? fromMs;
answer({
  releaseMs: toMs - fromMs,
  duringMs: waitsBetween(opens, fromMs, toMs),
  beforeMs: waitsBetween(opens, before, Math.min(before + BEFORE_MS - 10, fromMs)),
});
