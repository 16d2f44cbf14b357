// Whether something else on the host takes addresses of the guests of a network that is there.

import type { Subnet } from "../identity/ipv4.js";
import { networksInKernel, subnetOf } from "../plans/kernel-networks.js";
import { findOverlaps, formatCidr } from "../plans/overlap.js";
import { about, type Finding } from "./finding.js";
import type { Scene } from "./host.js";

const subnet = about(
  "bridge.subnet",
  "what is sent to these addresses does not reach the guests; a network that is new here would be refused",
);

export function checkSubnet(scene: Scene): Finding[] {
  const guests = subnetOfNetwork(scene);
  if (!guests) return [];
  const overlaps = findOverlaps(scene.netlink, scene.bridge?.ifindex, guests);
  if (overlaps.length === 0) {
    const own = formatCidr({ ...guests, ip: guests.network });
    return [subnet.ok(`nothing else on the host has addresses of ${own}`)];
  }
  return overlaps.map(({ text, mend }) => subnet.warning(text, mend));
}

/** undefined where there is no network, or what is left of it does not tell. */
function subnetOfNetwork({ netlink, bridgeName }: Scene): Subnet | undefined {
  const network = networksInKernel(netlink).find(({ bridge }) => bridge === bridgeName);
  try {
    return network && subnetOf(netlink, network);
  } catch {
    return undefined;
  }
}
