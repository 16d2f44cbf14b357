// The bridge of a network: made or taken over, with a MAC that does not depend on its ports, its address, and
// the settings without which a thousand ports are slow or leak.

import type { NetworkFacts } from "../facts.js";
import { formatIpv4, macOf, type Subnet } from "../identity/ipv4.js";
import type { LinkInfo } from "../kernel/binding.js";
import { type Kernel, mustTalk } from "../kernel/kernel.js";
import type { Message } from "../kernel/messages.js";
import { ALIAS_PREFIX } from "../lease/alias.js";
import { setLinkSysctl } from "./sysctl.js";
import type { Undo } from "./undo.js";

/** Makes the bridge, or brings the one that is there to the same state. `found` comes from checkConflicts. */
export function ensureBridge(
  kernel: Kernel,
  name: string,
  subnet: Subnet,
  found: LinkInfo | undefined,
  ipv6: boolean,
  undo: Undo,
): NetworkFacts["bridge"] {
  const mac = macOf(subnet.gateway);
  const alias = bridgeAlias(subnet);
  const bridge = found ?? createBridge(kernel, name, alias, mac, ipv6, undo);
  const messages: Message[] = [];
  // Without an explicit MAC a bridge takes the lowest of its ports', and restored guests' ARP caches go stale.
  if (bridge.mac !== mac) messages.push({ op: "link.set", ifindex: bridge.ifindex, mac });
  const { ifindex } = bridge;
  if (!kernel.addresses(ifindex).some(({ ip }) => ip === subnet.gateway)) {
    const address = { ifindex, ip: subnet.gateway, prefixLength: subnet.prefixLength };
    messages.push({ op: "address.add", ...address });
    if (found) undo.pushMessage(kernel, `address of ${name}`, { op: "address.delete", ...address }, name);
  }
  if (ipv6) setLinkSysctl("ipv6/conf", name, "disable_ipv6", 1);
  setLinkSysctl("ipv4/conf", name, "send_redirects", 0);
  // One ARP request of the host on a bridge with 1000 ports costs 0.9 ms; guests have permanent neighbours instead.
  setLinkSysctl("ipv4/neigh", name, "mcast_solicit", 0);
  if (!bridge.up) messages.push({ op: "link.set", ifindex, up: true });
  mustTalk(kernel, messages, name);
  return { name, ifindex, madeByUs: bridge.alias === alias };
}

function createBridge(kernel: Kernel, name: string, alias: string, mac: number, ipv6: boolean, undo: Undo): LinkInfo {
  const create: Message = {
    op: "link.create",
    name,
    kind: "bridge",
    mac,
    // VLAN filtering is off in a new bridge, and kernels built without it refuse to be told so.
    multicastSnooping: false,
  };
  mustTalk(kernel, [create], name);
  const bridge = kernel.link({ name }) as LinkInfo;
  undo.pushMessage(kernel, `bridge ${name}`, { op: "link.delete", ifindex: bridge.ifindex }, name);
  const settings: Message = {
    op: "link.set",
    ifindex: bridge.ifindex,
    alias,
    ...(ipv6 ? { addressGeneration: "none" as const } : {}),
  };
  mustTalk(kernel, [settings], name);
  return { ...bridge, alias };
}

/** The proof that a bridge is forknet's: `forknet1 /bridge 10.100.0.0/16`. */
function bridgeAlias(subnet: Subnet): string {
  return `${ALIAS_PREFIX}/bridge ${formatIpv4(subnet.network)}/${subnet.prefixLength}`;
}
