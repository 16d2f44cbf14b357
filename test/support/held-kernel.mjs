// A kernel for the lanes' workers that holds chosen messages back while a file exists: what waits can be looked at.
// Loaded by the workers as `held-kernel.mjs?file=PATH&hold=OP[,VERB]`; the test's side is traffic-network.ts.

import { existsSync, writeFileSync } from "node:fs";
import { createKernel as createReal } from "../../dist/kernel/kernel.js";

const POLL_MS = 5;
const { searchParams } = new URL(import.meta.url);
const file = searchParams.get("file");
const [op, verb] = searchParams.get("hold").split(",");
const nobody = new Int32Array(new SharedArrayBuffer(4));

function isHeld(message) {
  return message.op === op && (verb === undefined || message.verb === verb);
}

export function createKernel() {
  const real = createReal();
  const talk = (messages, device) => {
    if (messages.some(isHeld) && existsSync(file)) {
      writeFileSync(`${file}.reached`, "");
      // The worker's thread sleeps, as it would behind somebody who holds RTNL.
      while (existsSync(file)) Atomics.wait(nobody, 0, 0, POLL_MS);
    }
    return real.talk(messages, device);
  };
  return { ...real, talk };
}
