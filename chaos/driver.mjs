// The process that is killed: opens the network, settles, waits for its parent's check, and makes calls until it dies.
// Plain JavaScript, so that it starts at once. Its parent's side is life.ts.

import { setTimeout as sleep } from "node:timers/promises";
import { openWith } from "../dist/open.js";
import { churn } from "./churn.mjs";
import { note } from "./journal.mjs";
import { arm, disarm, hasDied, prepare } from "./lethal-kernel.mjs";
import { generator } from "./random.mjs";
import { clear, SCENARIOS } from "./scenarios.mjs";

const POOL_MS = 3000;
/** Longer than a refill of the pool waits. */
const BACKGROUND_MS = 60;

/** Calls go on for so long after a worker's death. */
const MOURNING_MS = 300;
const SETTLE_MS = 5000;
/** So that a thread can run out of memory. */
const HEAP_MB = 48;

/** @type {{ options: any, seed: number, scenario?: string, after?: number, operations?: number,
 *   thread?: { worker: string, death: string }, hasty?: boolean, end?: boolean }} */
const orders = JSON.parse(process.argv[2] ?? "{}");
const scenario = SCENARIOS.find(({ name }) => name === orders.scenario);
/** By ifindex, which no later TAP has again. @type {Map<number, () => void>} */
const waiting = new Map();
/** @type {Set<number>} */
const open = new Set();
/** @type {() => void} */
let start = () => {};
const started = new Promise((resolve) => {
  start = () => resolve(undefined);
});

process.on("message", (/** @type {any} */ { go, plugged, unplugged }) => {
  if (go) start();
  if (unplugged) open.delete(unplugged);
  if (!plugged) return;
  open.add(plugged);
  waiting.get(plugged)?.();
});
// A driver whose parent is gone has nobody to work for.
process.on("disconnect", () => process.exit(0));

/** Resolves when the guest has its TAP open. @param {number} ifindex */
async function whenPlugged(ifindex) {
  if (!open.has(ifindex))
    await new Promise((resolve) => waiting.set(ifindex, () => resolve(undefined)));
  waiting.delete(ifindex);
}

/** @param {any} network @param {number} size */
async function fillPool(network, size) {
  const deadline = performance.now() + POOL_MS;
  // The public interface does not tell of warm slots: what the kernel has of them is the parent's to check.
  while (performance.now() < deadline) {
    const { actions } = await network.reconcile({ dryRun: true });
    if (actions.length === 0) break;
    await sleep(5);
  }
  if (size > 0) await sleep(BACKGROUND_MS);
}

async function run() {
  prepare();
  if (scenario?.isOpening) arm(orders.after, orders.thread);
  const network = await openWith(orders.options, {
    kernelModule: new URL("./lethal-kernel.mjs", import.meta.url).href,
    ...(orders.thread && { heapMb: HEAP_MB }),
  });
  const opening = scenario?.isOpening ? disarm() : undefined;
  note({ event: "opened", allocations: network.listAllocations() });
  if (orders.hasty) await churn(network, generator(orders.seed), whenPlugged);
  const active = network.listAllocations().filter(({ state }) => state === "active");
  await Promise.allSettled(active.map(({ shaped }) => shaped));
  await network.reconcile();
  if (orders.end) {
    await network.destroy();
    note({ event: "ended" });
    process.exit(0);
  }
  note({ event: "settled", allocations: network.listAllocations() });
  await started;
  if (!scenario) {
    if (orders.operations !== undefined) arm(orders.operations, orders.thread);
    const isOver = orders.thread && whenMourned();
    await churn(network, generator(orders.seed), whenPlugged, isOver);
    disarm();
    await settleAgain(network);
  } else if (opening) note({ event: "counted", operations: opening, died: hasDied() });
  else await aim(network);
  // The parent ends a run that outlived its aim.
  await sleep(2 ** 30);
}

/** Tells when a worker has been dead for a while. */
function whenMourned() {
  let isOver = false;
  const timer = setInterval(() => {
    if (!hasDied()) return;
    clearInterval(timer);
    setTimeout(() => {
      isOver = true;
    }, MOURNING_MS);
  }, 10);
  return () => isOver;
}

/** Waits until nothing is left to do, without doing any of it. @param {any} network */
async function settleAgain(network) {
  const active = network
    .listAllocations()
    .filter((/** @type {any} */ { state }) => state === "active");
  await Promise.allSettled(active.map((/** @type {any} */ { shaped }) => shaped));
  const deadline = performance.now() + SETTLE_MS;
  let actions;
  do {
    await sleep(20);
    ({ actions } = await network.reconcile({ dryRun: true }));
  } while (actions.length > 0 && performance.now() < deadline);
  note({ event: "resettled", allocations: network.listAllocations(), actions, died: hasDied() });
}

/** @param {any} network */
async function aim(network) {
  await clear(network);
  await fillPool(network, scenario?.pool ?? 0);
  await scenario?.before?.(network);
  await fillPool(network, scenario?.pool ?? 0);
  note({ event: "armed" });
  arm(orders.after, orders.thread);
  await scenario?.call?.(network);
  await sleep(BACKGROUND_MS);
  const operations = disarm();
  if (orders.thread && !scenario?.isEnding) await settleAgain(network);
  else note({ event: "counted", operations, died: hasDied() });
}

await run();
