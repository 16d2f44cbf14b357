// A kernel for the lanes' workers under which a chosen worker's thread dies: before a chosen operation, while it waits
// for work, or while it starts. deaths.ts holds the controls.

import { getEnvironmentData } from "node:worker_threads";
import { createKernel as createReal } from "../../dist/kernel/kernel.js";
import { DEATHS, die } from "./death.mjs";

export const KEY = "forknet-test-deaths";
/** Slots of the control words. `operation` counts down; -1 is never. */
export const SLOT = { worker: 0, death: 1, moment: 2, operation: 3, times: 4, died: 5 };
export const WORKERS = ["any", "create", "shape", "reap"];
export const MOMENT = { never: 0, operation: 1, idle: 2, start: 3 };
const IDLE_POLL_MS = 5;
const CALLS = [
  "openTap",
  "setTapPersistent",
  "closeFd",
  "links",
  "link",
  "qdiscs",
  "classes",
  "filters",
  "neighbors",
  "fdb",
  "forgetFlows",
  "forgetFlowsBut",
];

const words = new Int32Array(getEnvironmentData(KEY));

function isMeant(worker, moment) {
  const wanted = WORKERS[Atomics.load(words, SLOT.worker)];
  if (Atomics.load(words, SLOT.moment) !== moment) return false;
  return wanted === "any" || wanted === worker;
}

/** Takes one of the deaths that are left; false when there is none. */
function isDue(worker, moment) {
  if (!isMeant(worker, moment)) return false;
  if (moment === MOMENT.operation && Atomics.sub(words, SLOT.operation, 1) > 1) return false;
  if (Atomics.sub(words, SLOT.times, 1) < 1) return false;
  Atomics.add(words, SLOT.died, 1);
  return true;
}

function dieIfDue(worker, moment) {
  if (isDue(worker, moment)) die(DEATHS[Atomics.load(words, SLOT.death)]);
}

/** A worker of Piscina's sleeps in Atomics.wait between two calls. */
function wakeNowAndThen(worker) {
  const wait = Atomics.wait;
  Atomics.wait = (array, index, value) => {
    for (;;) {
      const result = wait(array, index, value, IDLE_POLL_MS);
      if (result !== "timed-out") return result;
      if (isDue(worker, MOMENT.idle)) {
        const death = DEATHS[Atomics.load(words, SLOT.death)];
        if (death === "throw") throw new Error("thrown by the test while idle");
        die(death);
      }
    }
  };
}

export function createKernel(worker) {
  wakeNowAndThen(worker);
  dieIfDue(worker, MOMENT.start);
  const real = createReal();
  const around =
    (call) =>
    (...args) => {
      dieIfDue(worker, MOMENT.operation);
      return call(...args);
    };
  // One by one: a death between two messages of one send is what matters.
  const talk = (messages, device) =>
    isMeant(worker, MOMENT.operation)
      ? messages.map((one) => around(() => real.talk([one], device)[0])())
      : real.talk(messages, device);
  const calls = CALLS.map((name) => [name, around(real[name])]);
  const bpf = Object.entries(real.bpf).map(([name, call]) => [name, around(call)]);
  return { ...real, ...Object.fromEntries(calls), talk, bpf: Object.fromEntries(bpf) };
}
