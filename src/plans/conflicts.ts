// What stands in the way of a network before anything is made: another bridge's addresses, an
// overlapping subnet. Read-only.

import { contains, formatIpv4, type Subnet } from "../identity/ipv4.js";
import type { LinkInfo } from "../kernel/binding.js";
import { type Kernel, Refused } from "../kernel/kernel.js";
import type { Ipv4 } from "../kernel/messages.js";

const TABLE_LOCAL = 255;
const RTN_UNICAST = 1;

/**
 * Throws Refused with ERR_FORKNET_CONFLICT when the bridge's name, its addresses or the subnet are
 * someone else's.
 */
export function checkConflicts(
  kernel: Kernel,
  bridgeName: string,
  subnet: Subnet,
): LinkInfo | undefined {
  const bridge = kernel.link({ name: bridgeName });
  if (bridge && bridge.kind !== "bridge") {
    throw conflict(
      bridgeName,
      `${bridgeName} exists and is not a bridge (${bridge.kind || "a plain interface"})`,
    );
  }
  for (const address of kernel.addresses()) {
    const text = `${formatIpv4(address.ip)}/${address.prefixLength}`;
    const isOwn = address.ip === subnet.gateway && address.prefixLength === subnet.prefixLength;
    if (bridge && address.ifindex === bridge.ifindex) {
      if (!isOwn)
        throw conflict(
          bridgeName,
          `bridge ${bridgeName} has the address ${text}, not ${describeOwn(subnet)}`,
        );
    } else if (overlaps(subnet, address.ip, address.prefixLength)) {
      throw conflict(
        bridgeName,
        `subnet ${describe(subnet)} overlaps ${text} on ${nameOf(kernel, address.ifindex)}`,
      );
    }
  }
  for (const route of kernel.routes()) {
    const isOurs = bridge !== undefined && route.ifindex === bridge.ifindex;
    if (
      isOurs ||
      route.table === TABLE_LOCAL ||
      route.type !== RTN_UNICAST ||
      route.prefixLength === 0
    )
      continue;
    if (!overlaps(subnet, route.destination, route.prefixLength)) continue;
    const text = `${formatIpv4(route.destination)}/${route.prefixLength}`;
    throw conflict(
      bridgeName,
      `subnet ${describe(subnet)} overlaps the route ${text} on ${nameOf(kernel, route.ifindex)}`,
    );
  }
  return bridge;
}

/**
 * Deleting a group takes every link in it: throws CONFLICT when one that is not ours carries the
 * network's group.
 */
export function checkGroup(kernel: Kernel, group: number, own: readonly LinkInfo[]): void {
  const ours = new Set(own.map(({ ifindex }) => ifindex));
  const stranger = kernel.links().find((link) => link.group === group && !ours.has(link.ifindex));
  if (!stranger) return;
  const text = `${stranger.name} is in link group ${group}, which is for the TAPs this network deletes`;
  throw conflict(stranger.name, text);
}

function overlaps(subnet: Subnet, ip: Ipv4, prefixLength: number): boolean {
  if (prefixLength >= subnet.prefixLength) return contains(subnet, ip);
  const mask = prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0;
  return (ip & mask) >>> 0 === (subnet.network & mask) >>> 0;
}

function describe(subnet: Subnet): string {
  return `${formatIpv4(subnet.network)}/${subnet.prefixLength}`;
}

function describeOwn(subnet: Subnet): string {
  return `${formatIpv4(subnet.gateway)}/${subnet.prefixLength}`;
}

function nameOf(kernel: Kernel, ifindex: number): string {
  return kernel.link({ ifindex })?.name ?? `interface ${ifindex}`;
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
