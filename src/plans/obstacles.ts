// What at a bridge is the operator's and keeps guests, or others, from what they need: settings, ports
// of others. A new network is refused for it, one that lives is warned.

import type { Subnet } from "../identity/ipv4.js";
import type { LinkInfo } from "../kernel/binding.js";
import type { Kernel } from "../kernel/kernel.js";
import { tapMtu } from "../limits.js";
import { bridgeAlias } from "./bridge.js";
import type { Obstacle } from "./finding.js";
import { findSilencers } from "./forwarding.js";
import { findOthers, isShared, type Others } from "./others.js";

/** What a network needs of a bridge. */
export interface Needs {
  subnet: Subnet;
  /** The network's rules are there, or are to be made. */
  hasNat: boolean;
  /** Of the TAPs; undefined where they take the bridge's. */
  mtu: number | undefined;
  /** By the option, which the next open would be refused for. */
  isMtuAsked: boolean;
}

export function findObstacles(
  kernel: Kernel,
  bridge: LinkInfo,
  needs: Needs,
  others: Others = findOthers(kernel, bridge.ifindex, needs.subnet),
): Obstacle[] {
  const { subnet, hasNat } = needs;
  const isOurs = bridge.alias === bridgeAlias(subnet);
  return [
    ...findSilencers(bridge),
    ...(isOurs ? [] : downObstacle(bridge, others)),
    ...(hasNat ? natObstacle(bridge, others) : []),
    ...(isOurs && !isShared(others) ? [] : mtuObstacle(bridge, needs)),
  ];
}

/** A bridge that others depend on is not for us to bring up. */
function downObstacle({ name, up }: LinkInfo, others: Others): Obstacle[] {
  if (up || !isShared(others)) return [];
  const text = `bridge ${name} is down: nothing of a guest passes`;
  return [{ what: "up", text, mend: `ip link set dev ${name} up` }];
}

/** A bridge that others use keeps its MTU. What is larger than a port's is lost there in silence. */
function mtuObstacle(
  { name, mtu: actual }: LinkInfo,
  { mtu: wanted, isMtuAsked }: Needs,
): Obstacle[] {
  if (wanted === undefined || wanted === tapMtu(actual)) return [];
  const lost =
    actual > wanted ? "larger frames to guests are lost" : "larger frames of theirs are lost";
  const text = `bridge ${name} has MTU ${actual}, and its guests' TAPs ${wanted}: ${lost}`;
  // A port of a bridge with less has less, too: raising the bridge would hide it.
  const lower = actual > wanted ? `ip link set dev ${name} mtu ${wanted}, or ` : "";
  const anew = isMtuAsked ? "open the network without mtu" : "open the network again";
  return [{ what: "mtu", text, mend: `${lower}${anew}` }];
}

/**
 * nat's rules know guests by the bridge: hosts behind other ports would be behind the guests'
 * firewall, cut off from this host and from what it forwards.
 */
function natObstacle({ name }: LinkInfo, { ports: [port] }: Others): Obstacle[] {
  if (!port) return [];
  const text = `nat takes everything that comes in through ${name} for guests', and ${port.name} is a port of it`;
  return [{ what: "nat", text, mend: `ip link set dev ${port.name} nomaster` }];
}
