// The bridge of a network: made or taken over, with a MAC that does not depend on its ports, its
// address, and the settings without which a thousand ports are slow or leak.

import type { NetworkFacts } from "../facts.js";
import { formatIpv4, macOf, type Subnet } from "../identity/ipv4.js";
import type { LinkInfo } from "../kernel/binding.js";
import { type Kernel, mustTalk } from "../kernel/kernel.js";
import type { LinkSet } from "../kernel/messages.js";
import { ALIAS_PREFIX } from "../lease/alias.js";
import { createLink } from "./link.js";
import { type Shaper, shaperAlias } from "./shaper.js";
import { disableIpv6, multicastProbes } from "./sysctl.js";
import { type Step, sendSteps, type Undo } from "./undo.js";

/** What the bridge should be, and what is there: `found` comes from checkConflicts. */
export interface BridgeWish {
  name: string;
  subnet: Subnet;
  found: LinkInfo | undefined;
  ipv6: boolean;
  /** A new bridge forwards what comes from guests; one that is there is left to nat/forwarding.ts. */
  forwards: boolean;
  shaper: Shaper;
}

/** Makes the bridge, or brings the one that is there to the same state. */
export function ensureBridge(
  kernel: Kernel,
  { name, subnet, found, ipv6, forwards, shaper }: BridgeWish,
  undo: Undo,
): NetworkFacts["bridge"] {
  const mac = macOf(subnet.gateway);
  const alias = bridgeAlias(subnet);
  // An earlier process died between making it and naming it.
  const isHalfMade = found?.alias === "" && !found.up && found.mac === mac;
  const bridge =
    found && !isHalfMade
      ? found
      : nameBridge(kernel, found ?? createBridge(kernel, name, mac, undo), {
          alias,
          ...(ipv6 ? { addressGeneration: "none" } : {}),
          ...(forwards ? { forwarding: true } : {}),
        });
  const steps: Step[] = [];
  // Without an explicit MAC a bridge takes the lowest of its ports', and restored guests' ARP
  // caches go stale.
  const { ifindex } = bridge;
  if (bridge.mac !== mac) {
    steps.push({
      message: { op: "link.set", ifindex, mac },
      back: { op: "link.set", ifindex, mac: bridge.mac },
    });
  }
  const madeByUs = bridge.alias === alias;
  let addressAdded = !madeByUs && shaper.addressAdded;
  if (!kernel.addresses(ifindex).some(({ ip }) => ip === subnet.gateway)) {
    if (!madeByUs && !addressAdded) {
      addressAdded = true;
      steps.push(rememberAddress(shaper, name));
    }
    const address = { ifindex, ip: subnet.gateway, prefixLength: subnet.prefixLength };
    steps.push({
      message: { op: "address.add", ...address },
      back: { op: "address.delete", ...address },
    });
  }
  if (ipv6) disableIpv6(name, !madeByUs, undo);
  if (bridge.sendRedirects)
    steps.push({
      message: { op: "link.set", ifindex, sendRedirects: false },
      back: { op: "link.set", ifindex, sendRedirects: true },
    });
  // One ARP request of the host on a bridge with 1000 ports costs 0.9 ms; guests have permanent
  // neighbours instead.
  const probes = multicastProbes(name);
  if (probes > 0)
    steps.push({
      message: { op: "neighbor.table", ifindex, multicastProbes: 0 },
      back: { op: "neighbor.table", ifindex, multicastProbes: probes },
    });
  if (!bridge.up)
    steps.push({
      message: { op: "link.set", ifindex, up: true },
      back: { op: "link.set", ifindex, up: false },
    });
  sendSteps(kernel, steps, name, undo);
  return { name, ifindex, madeByUs, addressAdded };
}

/** Before the address is there: who finds it must know whose it is. */
function rememberAddress({ ifindex }: Shaper, bridge: string): Step {
  return {
    message: { op: "link.set", ifindex, alias: shaperAlias(bridge, true) },
    back: { op: "link.set", ifindex, alias: shaperAlias(bridge, false) },
  };
}

function createBridge(kernel: Kernel, name: string, mac: number, undo: Undo): LinkInfo {
  // VLAN filtering is off in a new bridge, and kernels built without it refuse to be told so.
  const create = {
    op: "link.create",
    name,
    kind: "bridge",
    mac,
    multicastSnooping: false,
  } as const;
  return createLink(kernel, create, "bridge", undo);
}

/** An alias cannot be given when a link is made, so it is the second step. */
function nameBridge(
  kernel: Kernel,
  bridge: LinkInfo,
  settings: Omit<LinkSet, "op" | "ifindex"> & { alias: string },
): LinkInfo {
  mustTalk(kernel, [{ op: "link.set", ifindex: bridge.ifindex, ...settings }], bridge.name);
  return { ...bridge, alias: settings.alias };
}

/** The proof that a bridge is forknet's: `forknet1 /bridge 10.100.0.0/16`. */
export function bridgeAlias(subnet: Subnet): string {
  return `${ALIAS_PREFIX}/bridge ${formatIpv4(subnet.network)}/${subnet.prefixLength}`;
}
