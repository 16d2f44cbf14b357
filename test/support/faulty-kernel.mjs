// A kernel for the lanes' workers whose operations can be made to fail. It wraps the real one; faults.ts holds the
// controls, which reach every worker thread as shared memory through the environment data of worker_threads.

import { getEnvironmentData } from "node:worker_threads";
import { describe } from "../../dist/kernel/describe.js";
import { createKernel as createReal, Refused } from "../../dist/kernel/kernel.js";

/** Slots of the control words. */
export const SLOT = {
  count: 0,
  first: 1,
  last: 2,
  errno: 3,
  mode: 4,
  permille: 5,
  journalEnd: 6,
  failed: 7,
};
export const MODE = { refuse: 0, loseAnswer: 1, random: 2, vanish: 3 };
export const CONTROL_WORDS = 16;
export const TEXT_BYTES = 256;
export const JOURNAL_BYTES = 1 << 20;
export const ENVIRONMENT_KEY = "forknet-test-faults";

const EBUSY = 16;
const ENOMEM = 12;
const DUMPS = [
  "links",
  "link",
  "qdiscs",
  "classes",
  "filters",
  "addresses",
  "routes",
  "rules",
  "neighbors",
  "fdb",
];
const NO_SYSTEM_CALL = new Set(["possibleCpus"]);

/** What faults.ts shares: control words, the prefix of the operations that count, the kernel's words, the journal. */
function controls() {
  const shared = getEnvironmentData(ENVIRONMENT_KEY);
  return {
    words: new Int32Array(shared.words),
    match: () => readText(shared.match),
    text: () => readText(shared.text),
    journal: new Uint8Array(shared.journal),
  };
}

function readText(shared) {
  const bytes = Uint8Array.from(new Uint8Array(shared));
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
}

/** Counts the operation and returns its failure, or null when it is to be done. */
function chosen(control, operation) {
  const { words } = control;
  if (!operation.startsWith(control.match())) return null;
  const number = Atomics.add(words, SLOT.count, 1) + 1;
  note(control, operation);
  if (words[SLOT.mode] === MODE.random) {
    if (Math.random() * 1000 >= words[SLOT.permille]) return null;
    return refusal(control, Math.random() < 0.7 ? EBUSY : ENOMEM, "");
  }
  if (number < words[SLOT.first] || number > words[SLOT.last]) return null;
  return refusal(control, words[SLOT.errno], control.text());
}

function refusal({ words }, errno, text) {
  Atomics.add(words, SLOT.failed, 1);
  return { errno, text };
}

function note({ words, journal }, operation) {
  const bytes = new TextEncoder().encode(`${operation}\n`);
  const at = Atomics.add(words, SLOT.journalEnd, bytes.length);
  if (at + bytes.length <= journal.length) journal.set(bytes, at);
}

function deleteTap(real, { ifindex }) {
  if (!ifindex || real.link({ ifindex })?.kind !== "tun") return;
  real.talk([{ op: "link.delete", ifindex }], "");
}

function wrapCall(control, call, operation) {
  return (...args) => {
    const failed = chosen(control, operation);
    if (failed && control.words[SLOT.mode] !== MODE.vanish)
      throw new Refused({ operation, device: "", leftBehind: [], ...failed });
    return call(...args);
  };
}

/** Refused messages are not sent and do not stop the ones after them, as with the kernel's own refusals. */
function talk(control, real, messages, device) {
  const nameOf = (message) => (typeof device === "string" ? device : device(message));
  const failures = messages.map((message) => {
    const failed = chosen(control, describe(message));
    return (
      failed && { operation: describe(message), device: nameOf(message), leftBehind: [], ...failed }
    );
  });
  const sent = messages.filter((_, i) => !failures[i]);
  const mode = control.words[SLOT.mode];
  if (mode === MODE.loseAnswer && sent.length < messages.length) {
    real.talk(messages, device);
    throw new Refused({
      operation: "recvmsg",
      device: "NETLINK_ROUTE",
      errno: control.words[SLOT.errno],
      text: "",
      leftBehind: [],
    });
  }
  if (mode === MODE.vanish) {
    messages.forEach((message, i) => {
      if (failures[i]) deleteTap(real, message);
    });
    return real.talk(messages, device);
  }
  const results = sent.length > 0 ? real.talk(sent, device) : [];
  return failures.map((failure) => failure ?? results.shift());
}

export function createKernel() {
  const control = controls();
  const real = createReal();
  const wrapped = { ...real, talk: (messages, device) => talk(control, real, messages, device) };
  wrapped.openTap = wrapCall(control, (options) => real.openTap(options), "TUNSETIFF");
  wrapped.setTapPersistent = wrapCall(
    control,
    (fd, on) => real.setTapPersistent(fd, on),
    "TUNSETPERSIST",
  );
  wrapped.setTapOwner = wrapCall(control, (fd, uid) => real.setTapOwner(fd, uid), "TUNSETOWNER");
  wrapped.setTapGroup = wrapCall(control, (fd, gid) => real.setTapGroup(fd, gid), "TUNSETGROUP");
  wrapped.forgetFlows = wrapCall(control, (ips) => real.forgetFlows(ips), "CT_DELETE");
  const forgetFlowsBut = (...args) => real.forgetFlowsBut(...args);
  const failing = wrapCall(control, forgetFlowsBut, "CT_DELETE");
  // No failure of an open: it counts only where it is meant.
  wrapped.forgetFlowsBut = (...args) =>
    (control.match() === "" ? forgetFlowsBut : failing)(...args);
  for (const name of DUMPS)
    wrapped[name] = wrapCall(control, (...args) => real[name](...args), `dump ${name}`);
  const calls = Object.entries(real.bpf).map(([name, call]) => [
    name,
    NO_SYSTEM_CALL.has(name) ? call : wrapCall(control, call, `BPF ${name}`),
  ]);
  wrapped.bpf = Object.fromEntries(calls);
  return wrapped;
}
