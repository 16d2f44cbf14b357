// Waits until the kernel is done with what went before: a namespace that dies with a thousand TAPs keeps RTNL busy for
// a second, and the next trial would pay for it.

import { setTimeout as sleep } from "node:timers/promises";
import { loadAddon } from "../dist/kernel/addon.js";

const LOOPBACK_IFINDEX = 1;
/** A change of nothing under RTNL takes microseconds; longer means that somebody else has the lock. */
const QUIET_MS = 0.5;
const NEEDED = 15;
const PAUSE_MS = 2;
/** A machine with other work on it is never quiet: the trial runs all the same, and the noise is in the figures. */
const LONGEST_MS = 8000;

/** @type {import("../dist/kernel/binding.js").Netlink | undefined} */
let netlink;

/** Resolves when RTNL has been free for a while; tells how long that took, in milliseconds. */
export async function untilQuiet() {
  netlink ??= openNamespace();
  const startMs = performance.now();
  await sleep(20);
  for (let quiet = 0; quiet < NEEDED && performance.now() - startMs < LONGEST_MS; ) {
    const askedMs = performance.now();
    netlink.talk([{ op: "link.set", ifindex: LOOPBACK_IFINDEX, up: true }]);
    quiet = performance.now() - askedMs < QUIET_MS ? quiet + 1 : 0;
    await sleep(PAUSE_MS);
  }
  return performance.now() - startMs;
}

/** The harness's own namespace, so that it never touches the host's links. */
function openNamespace() {
  const addon = loadAddon();
  addon.unshareNetwork();
  return new addon.Netlink();
}
