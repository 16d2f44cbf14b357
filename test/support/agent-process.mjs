// A host agent in a process of its own: opens networks and calls them as its parent says, over IPC.
// Plain JavaScript, because it runs without a loader. The parent's side is agent.ts.

import { arm, prepare } from "../../chaos/lethal-kernel.mjs";
import { openNetwork } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";

const LETHAL_KERNEL = new URL("../../chaos/lethal-kernel.mjs", import.meta.url).href;

let network;

const commands = {
  async open(options) {
    network = await openNetwork(options);
    return network.listAllocations();
  },
  // It dies when it is told to, after so many kernel operations.
  async openLethal(options) {
    prepare();
    network = await openWith(options, { kernelModule: LETHAL_KERNEL });
    return network.listAllocations();
  },
  dieAfter(operations) {
    arm(operations);
  },
  // The lease is in the kernel map when the call returns; the limits are still to be sent to their worker.
  forkAndDie(request) {
    void network.createAllocation(request);
    process.kill(process.pid, "SIGKILL");
  },
};

async function answer({ id, method, args }) {
  try {
    const command = commands[method] ?? ((...rest) => network[method](...rest));
    process.send({ id, value: await command(...args) });
  } catch (error) {
    const { message, code, ...fields } = error;
    process.send({ id, error: { message, code, ...fields } });
  }
}

process.on("message", (question) => void answer(question));
