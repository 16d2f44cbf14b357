// A network namespace of a process's own: nothing outside sees its devices, and they go with its last process.

import type { Addon } from "../../src/kernel/binding.js";

const LOOPBACK_IFINDEX = 1;

/** Moves this process into a new namespace. Throws what the kernel says. */
export function enterNamespace(addon: Addon): void {
  addon.unshareNetwork();
  const netlink = new addon.Netlink();
  try {
    const [refusal] = netlink.talk([{ op: "link.set", ifindex: LOOPBACK_IFINDEX, up: true }]);
    if (refusal) throw new Error(`setting lo up: errno ${refusal.errno} ${refusal.text}`);
  } finally {
    netlink.close();
  }
}
