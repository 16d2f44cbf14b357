// What stands in the way of a network before anything is made: a name, an address or a route of
// somebody else's. Refused at first; a network that is there already opens, and warns. Read-only.

import type { Subnet } from "../identity/ipv4.js";
import type { LinkInfo } from "../kernel/binding.js";
import { type Kernel, Refused } from "../kernel/kernel.js";
import { type Warning, warningOf } from "./finding.js";
import { findSilencers } from "./forwarding.js";
import { findOverlaps, formatCidr } from "./overlap.js";
import { findPresence } from "./presence.js";

export interface Ground {
  /** Of the network's name, when it is there. */
  bridge: LinkInfo | undefined;
  /** The network is there already: what others did since must not lock live guests out. */
  isThere: boolean;
  /** What others did since the network was made. */
  warnings: Warning[];
}

/**
 * Throws Refused with CONFLICT when the bridge's name, its addresses or the subnet are someone
 * else's. What others do later never locks live guests out: for a network that is there already, or
 * that `isOpen`, an overlap is a warning, and so is a bridge that keeps new ports silent. In any case the bridge must be the network's.
 */
export function checkConflicts(
  kernel: Kernel,
  bridgeName: string,
  subnet: Subnet,
  isOpen = false,
): Ground {
  const bridge = kernel.link({ name: bridgeName });
  if (bridge && bridge.kind !== "bridge") {
    throw conflict(
      bridgeName,
      `${bridgeName} exists and is not a bridge (${bridge.kind || "a plain interface"})`,
    );
  }
  const { isThere, hasBridge, otherAddresses } = findPresence(kernel, bridgeName, bridge, subnet);
  const own = formatCidr({ ip: subnet.gateway, prefixLength: subnet.prefixLength });
  const added = otherAddresses.map((address) => ({
    what: "address",
    text: `bridge ${bridgeName} has the address ${formatCidr(address)}, which is not the gateway's ${own}`,
  }));
  if (added[0] && !hasBridge) {
    throw conflict(bridgeName, `${added[0].text}: use another bridge, or take it away`);
  }
  const overlaps = findOverlaps(kernel, bridge?.ifindex, subnet);
  if (overlaps[0] && !isThere && !isOpen) {
    const { text, mend } = overlaps[0];
    throw conflict(bridgeName, `${text}: open with another subnet, or ${mend}`);
  }
  const silencers = bridge ? findSilencers(bridge).map(warningOf) : [];
  if (silencers[0] && !isThere && !isOpen) throw conflict(bridgeName, silencers[0].text);
  return { bridge, isThere, warnings: [...added, ...silencers, ...overlaps.map(warningOf)] };
}

function conflict(device: string, text: string): Refused {
  return new Refused({
    code: "ERR_FORKNET_CONFLICT",
    operation: "openNetwork",
    device,
    errno: 0,
    text,
    leftBehind: [],
  });
}
