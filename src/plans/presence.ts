// Whether a network is there already: what an earlier process left in the kernel proves it. Read-only.

import { contains, type Subnet } from "../identity/ipv4.js";
import type { AddressInfo, LinkInfo } from "../kernel/binding.js";
import type { Kernel } from "../kernel/kernel.js";
import { addressInAlias } from "../lease/alias.js";
import { bridgeAlias } from "./bridge.js";
import { findOwnTaps } from "./ownership.js";
import { findShaper } from "./shaper.js";

export interface Presence {
  /** Something of the network is there: shaper, bridge or TAPs. */
  isThere: boolean;
  /** The bridge is this network's, with this subnet, whatever other addresses it has by now. */
  hasBridge: boolean;
  /** Of the bridge, but the gateway's own. */
  otherAddresses: AddressInfo[];
}

export function findPresence(
  kernel: Kernel,
  bridgeName: string,
  bridge: LinkInfo | undefined,
  subnet: Subnet,
): Presence {
  const addresses = bridge ? kernel.addresses(bridge.ifindex) : [];
  const isGateway = ({ ip, prefixLength }: AddressInfo) =>
    ip === subnet.gateway && prefixLength === subnet.prefixLength;
  const otherAddresses = addresses.filter((address) => !isGateway(address));
  const taps = findOwnTaps(kernel, bridge?.ifindex, subnet).filter(({ alias }) =>
    contains(subnet, addressInAlias(alias) ?? 0),
  );
  const hasShaper = findShaper(kernel, bridgeName, subnet.gateway) !== undefined;
  const isNamed = bridge?.alias === bridgeAlias(subnet);
  const hasGateway = addresses.some(isGateway);
  // Only a bridge that we made says in its alias how long the prefix is.
  const isOtherSubnet =
    !isNamed && !hasGateway && otherAddresses.some(({ ip }) => ip === subnet.gateway);
  // The shaper's name says the gateway, also when its address was taken away.
  const isKnownGateway = hasGateway || hasShaper;
  const hasPort = taps.some(({ master }) => master !== 0);
  return {
    isThere: hasShaper || isNamed || taps.length > 0,
    hasBridge:
      isKnownGateway && !isOtherSubnet && (isNamed || hasPort || (hasShaper && hasGateway)),
    otherAddresses,
  };
}
