// The cable of a stand-in guest: a thread that copies frames between the host's TAP and the guest's
// eth0. It ends when one of them fails; the process that owns the thread is killed otherwise.

import { workerData } from "node:worker_threads";
import { loadAddon } from "../kernel/addon.js";

const { fdA, fdB } = workerData as { fdA: number; fdB: number };
const addon = loadAddon();
try {
  addon.wire(fdA, fdB);
} finally {
  // As a VMM does whose TAP was deleted: an open queue would keep the dead device's memory.
  addon.closeFd(fdA);
}
