// A host agent in a process of its own: opens networks and calls them as its parent says, over IPC.
// Plain JavaScript, because it runs without a loader. The parent's side is agent.ts.

import { openNetwork } from "../../dist/index.js";

let network;

const commands = {
  async open(options) {
    network = await openNetwork(options);
    return network.listAllocations();
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
