// What stands in the way of a network before anything is made: a name, an address or a route of
// somebody else's. Refused at first; a network that is there already opens, and warns. Read-only.

import type { Subnet } from "../identity/ipv4.js";
import type { LinkInfo } from "../kernel/binding.js";
import { type Kernel, Refused } from "../kernel/kernel.js";
import { type Warning, warningOf } from "./finding.js";
import { findObstacles } from "./obstacles.js";
import { findOverlaps, formatCidr } from "./overlap.js";
import { findPresence } from "./presence.js";

/** What of a network meets with others. */
export interface Wanted {
  bridge: string;
  subnet: Subnet;
  /** Undefined: nothing of the guests is forwarded as far as forknet goes, and no rules are made. */
  nat: object | undefined;
  /** Of the TAPs; undefined where they take the bridge's. */
  mtu: number | undefined;
}

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
  { bridge: name, subnet, nat, mtu }: Wanted,
  isOpen = false,
): Ground {
  const bridge = kernel.link({ name });
  if (bridge && bridge.kind !== "bridge") {
    throw conflict(
      name,
      `${name} exists and is not a bridge (${bridge.kind || "a plain interface"})`,
    );
  }
  const { isThere, hasBridge, otherAddresses } = findPresence(kernel, name, bridge, subnet);
  const own = formatCidr({ ip: subnet.gateway, prefixLength: subnet.prefixLength });
  const added = otherAddresses.map((address) => ({
    what: "address",
    text: `bridge ${name} has the address ${formatCidr(address)}, which is not the gateway's ${own}`,
  }));
  if (added[0] && !hasBridge) {
    throw conflict(name, `${added[0].text}: use another bridge, or take it away`);
  }
  const overlaps = findOverlaps(kernel, bridge?.ifindex, subnet);
  const obstacles = bridge
    ? findObstacles(kernel, bridge, { subnet, hasNat: nat !== undefined, mtu, isMtuAsked: true })
    : [];
  if (!isThere && !isOpen) {
    const [overlap] = overlaps;
    if (overlap)
      throw conflict(name, `${overlap.text}: open with another subnet, or ${overlap.mend}`);
    if (obstacles[0]) throw conflict(name, warningOf(obstacles[0]).text);
  }
  return { bridge, isThere, warnings: [...added, ...[...obstacles, ...overlaps].map(warningOf)] };
}

/** Another bridge would be made under the name that a known one has lost. Throws Refused, CONFLICT. */
export function checkName(
  kernel: Kernel,
  { name, ifindex }: { name: string; ifindex: number },
): void {
  const actual = kernel.link({ ifindex })?.name;
  if (actual === undefined || actual === name) return;
  throw conflict(
    name,
    `bridge ${name} is named ${actual} now: ip link set dev ${actual} name ${name}`,
  );
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
