// A network namespace for this process, its threads and its children, that goes with them.

import { ForknetError } from "../errors.js";
import { loadAddon } from "../kernel/addon.js";

/** Throws PERMISSION; `who` is what should be run as root. */
export function enterOwnNamespace(who: string): void {
  const addon = loadAddon();
  try {
    addon.unshareNetwork();
  } catch (cause) {
    const text = `a network namespace of its own needs CAP_SYS_ADMIN: run ${who} as root`;
    throw new ForknetError("ERR_FORKNET_PERMISSION", text, { cause });
  }
  const netlink = new addon.Netlink();
  netlink.talk([{ op: "link.set", ifindex: 1, up: true }]);
  netlink.close();
}
