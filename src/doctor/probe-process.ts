// The process that probes: moves into a network namespace of its own, tries every feature, prints
// what came of it as JSON. The namespace goes with it.

import { loadAddon } from "../kernel/addon.js";
import { createKernel, failureOf } from "../kernel/kernel.js";
import { probeNftables } from "./probe-nftables.js";
import { runProbes } from "./probes.js";

async function probe() {
  try {
    loadAddon().unshareNetwork();
  } catch (error) {
    return { refused: failureOf(error, "unshare", "") };
  }
  return { results: runProbes(createKernel()), nftables: await probeNftables() };
}

process.stdout.write(JSON.stringify(await probe()));
