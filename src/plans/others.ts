// Who else uses a bridge: ports that are no TAPs of this network, addresses that are not its
// gateway's, hosts behind those ports. Read-only.

import { readFileSync } from "node:fs";
import { contains, macOf, type Subnet } from "../identity/ipv4.js";
import type { LinkInfo } from "../kernel/binding.js";
import type { Kernel } from "../kernel/kernel.js";
import type { Ipv4 } from "../kernel/messages.js";
import { hasGuard, isOwnTap } from "./ownership.js";

export interface Others {
  /** An uplink, VMs of somebody else's. */
  ports: LinkInfo[];
  /** IPv4 or IPv6, but no link-local ones, which the kernel makes by itself. */
  hasAddresses: boolean;
}

/** True when more than this network depends on the bridge. */
export function isShared({ ports, hasAddresses }: Others): boolean {
  return ports.length > 0 || hasAddresses;
}

export function findOthers(
  kernel: Kernel,
  bridge: number,
  subnet: Subnet,
  members: readonly LinkInfo[] = kernel.links({ master: bridge }),
): Others {
  const isGateway = ({ ip, prefixLength }: { ip: Ipv4; prefixLength: number }) =>
    ip === subnet.gateway && prefixLength === subnet.prefixLength;
  return {
    ports: members.filter((link) => !isGuests(kernel, link, bridge, subnet)),
    hasAddresses:
      kernel.addresses(bridge).some((address) => !isGateway(address)) || hasIpv6Address(bridge),
  };
}

/** Our guard tells a TAP whose alias somebody edited. */
function isGuests(kernel: Kernel, link: LinkInfo, bridge: number, subnet: Subnet): boolean {
  return isOwnTap(kernel, link, bridge, subnet) || (link.kind === "tun" && hasGuard(kernel, link));
}

const SCOPE_LINK = 0x20;

/** The addon's dumps are IPv4's. A line: address, ifindex, prefix length and scope in hex, ... */
function hasIpv6Address(ifindex: number): boolean {
  let lines: string[];
  try {
    // Of the thread's own namespace.
    lines = readFileSync("/proc/thread-self/net/if_inet6", "utf8").split("\n");
  } catch {
    return false;
  }
  return lines
    .map((line) => line.split(/\s+/).map((field) => Number.parseInt(field, 16)))
    .some(([, index, , scope]) => index === ifindex && scope !== SCOPE_LINK);
}

const NUD_KNOWN = 0x02 | 0x04 | 0x08 | 0x10; // reachable, stale, delay, probe
const NUD_PERMANENT = 0x80;

/**
 * Addresses of the subnet that hosts behind the bridge have, as far as this host knows them: its
 * routers, and its neighbours. A guest with one of them would cut this host off from it.
 */
export function findHosts(kernel: Kernel, bridge: number, subnet: Subnet): Ipv4[] {
  const routers = kernel
    .routes()
    .filter(({ ifindex, gateway }) => ifindex === bridge && gateway !== 0)
    .map(({ gateway }) => gateway);
  const neighbors = kernel
    .neighbors(bridge)
    .filter(
      ({ ip, mac, state }) => state & NUD_KNOWN || (state & NUD_PERMANENT && mac !== macOf(ip)),
    )
    .map(({ ip }) => ip);
  return [...routers, ...neighbors].filter((ip) => contains(subnet, ip));
}
