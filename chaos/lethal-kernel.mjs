// Kills the driver with SIGKILL after a chosen kernel operation, or the worker thread that made it. Counts what the workers
// send, what the main thread writes into the lease map, and what goes into the standby store. Dumps change nothing and do
// not count; for a worker's death only what that worker sends does.

import { getEnvironmentData, setEnvironmentData } from "node:worker_threads";
import { loadAddon } from "../dist/kernel/addon.js";
import { describe } from "../dist/kernel/describe.js";
import { createKernel as createReal } from "../dist/kernel/kernel.js";
import { StandbyStore } from "../dist/lease/standby-store.js";
import { DEATHS, die as dieAsThread } from "../test/support/death.mjs";

const KEY = "forknet-chaos";
const SLOT = { armed: 0, done: 1, target: 2, textEnd: 3, thread: 4, death: 5, died: 6 };
/** Whose thread dies; the process where it is the first. */
const THREADS = ["", "any", "create", "shape", "reap"];
const WORDS_BYTES = 32;
const TEXT_BYTES = 1 << 18;
const NEVER = 2 ** 31 - 1;
const BPF_WRITES = ["createMap", "loadProgram", "mapSet", "mapDelete"];

let words;
let text;
/** Of this thread; undefined in the main thread. */
let worker;

/** For the main thread, before the workers start. */
export function prepare() {
  words = new Int32Array(new SharedArrayBuffer(WORDS_BYTES));
  text = new Uint8Array(new SharedArrayBuffer(TEXT_BYTES));
  setEnvironmentData(KEY, { words: words.buffer, text: text.buffer });
  const { bpf } = loadAddon();
  for (const name of ["mapSet", "mapDelete"]) {
    const real = bpf[name];
    bpf[name] = (...args) => around(`BPF ${name} (lease)`, () => real(...args));
  }
  for (const name of ["put", "remove"]) {
    const real = StandbyStore.prototype[name];
    StandbyStore.prototype[name] = async function (...args) {
      if (isDue(0)) die();
      await real.apply(this, args);
      finished(`standby store ${name}`);
    };
  }
}

/**
 * From now on operations count, and the process dies after `target` of them; without one it only counts. With `thread` it is
 * the thread of that worker that dies, once.
 * @param {number} [target]
 * @param {{ worker: string, death: string }} [thread]
 */
export function arm(target = NEVER, thread) {
  words[SLOT.done] = 0;
  words[SLOT.died] = 0;
  words[SLOT.thread] = thread ? THREADS.indexOf(thread.worker) : 0;
  words[SLOT.death] = thread ? DEATHS.indexOf(thread.death) : 0;
  words[SLOT.textEnd] = 0;
  words[SLOT.target] = target;
  Atomics.store(words, SLOT.armed, 1);
}

/** Stops counting; what was done, in order. */
export function disarm() {
  Atomics.store(words, SLOT.armed, 0);
  const bytes = Uint8Array.from(text.subarray(0, words[SLOT.textEnd]));
  return new TextDecoder().decode(bytes).split("\n").slice(0, -1);
}

/** Whether a thread was killed since the last `arm`. */
export function hasDied() {
  return Atomics.load(words, SLOT.died) === 1;
}

function isDue(done) {
  return isMeant() && words[SLOT.target] === done;
}

/** It counts, and whoever dies of it is meant. */
function isMeant() {
  if (Atomics.load(words, SLOT.armed) === 0) return false;
  const wanted = THREADS[words[SLOT.thread]];
  return wanted === "" || wanted === worker || (wanted === "any" && worker !== undefined);
}

function die() {
  if (words[SLOT.thread] !== 0) {
    if (Atomics.compareExchange(words, SLOT.died, 0, 1) === 0)
      dieAsThread(DEATHS[words[SLOT.death]]);
    return;
  }
  process.kill(process.pid, "SIGKILL");
  // No thread goes on while the signal is on its way.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

function around(name, run) {
  if (isDue(0)) die();
  try {
    return run();
  } finally {
    finished(name);
  }
}

function finished(name) {
  if (!isMeant()) return;
  const bytes = new TextEncoder().encode(`${name}\n`);
  const at = Atomics.add(words, SLOT.textEnd, bytes.length);
  if (at + bytes.length <= text.length) text.set(bytes, at);
  if (Atomics.add(words, SLOT.done, 1) + 1 === words[SLOT.target]) die();
}

/** What the workers use in place of the real kernel. */
export function createKernel(name) {
  worker = name;
  const shared = getEnvironmentData(KEY);
  words = new Int32Array(shared.words);
  text = new Uint8Array(shared.text);
  const real = createReal();
  // One by one while it counts: a death between two messages of one send is what no other test has.
  const talk = (messages, device) =>
    Atomics.load(words, SLOT.armed) === 0
      ? real.talk(messages, device)
      : messages.map((one) => around(describe(one), () => real.talk([one], device)[0]));
  const counted = (name, call, what = name) => [
    name,
    (...args) => around(what, () => call(...args)),
  ];
  const bpf = Object.entries(real.bpf).map(([name, call]) =>
    BPF_WRITES.includes(name) ? counted(name, call, `BPF ${name}`) : [name, call],
  );
  const ofTaps = ["openTap", "setTapPersistent", "setTapOwner", "setTapGroup", "closeFd"];
  const calls = ofTaps.map((name) => counted(name, real[name]));
  return { ...real, ...Object.fromEntries(calls), talk, bpf: Object.fromEntries(bpf) };
}
