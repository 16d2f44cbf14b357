// The identity in a guest's memory, where it is another than the guest's own on the bridge: the
// guests of one snapshot share it, and the programs at their TAPs translate. No I/O.

import { configError } from "../errors.js";
import type { Ipv4, Mac } from "../kernel/messages.js";
import {
  contains,
  formatIpv4,
  formatMac,
  macOf,
  parseIpv4,
  parseMac,
  type Subnet,
} from "./ipv4.js";

/** What a guest believes of itself and of its default route. May be the same for many guests. */
export interface GuestIdentity {
  /** "169.254.77.2" */
  ip: string;
  /** "06:00:00:00:00:02" */
  mac: string;
  /** "169.254.77.1" */
  gateway: string;
  /** What the guest's neighbour table has for the gateway. Default: made of the address. */
  gatewayMac?: string;
}

/** The same after checking. */
export interface InnerIdentity {
  ip: Ipv4;
  mac: Mac;
  gateway: Ipv4;
  gatewayMac: Mac;
}

export const GUEST_IDENTITY_KEYS: ReadonlySet<string> = new Set([
  "ip",
  "mac",
  "gateway",
  "gatewayMac",
]);

/**
 * Checks an identity against the subnet; `own` is the guest's address there, undefined while it is
 * not known. Throws ERR_FORKNET_CONFIG.
 */
export function resolveInner(
  given: GuestIdentity,
  subnet: Subnet,
  own: Ipv4 | undefined,
): InnerIdentity {
  const ip = checkHost(given.ip, "guest.ip");
  const gateway = checkHost(given.gateway, "guest.gateway");
  const range = `${formatIpv4(subnet.network)}/${subnet.prefixLength}`;
  if (contains(subnet, ip) && ip !== own)
    throw configError("guest.ip", `an address outside ${range}, or the allocation's own`, given.ip);
  if (contains(subnet, gateway) && gateway !== subnet.gateway) {
    const expected = `an address outside ${range}, or the network's gateway`;
    throw configError("guest.gateway", expected, given.gateway);
  }
  if (ip === gateway) throw configError("guest.gateway", "another than guest.ip", given.gateway);
  const mac = parseMac(given.mac, "guest.mac");
  const gatewayMac =
    given.gatewayMac === undefined
      ? macOf(gateway)
      : parseMac(given.gatewayMac, "guest.gatewayMac");
  if (mac === gatewayMac) throw configError("guest.mac", "another than the gateway's", given.mac);
  return { ip, mac, gateway, gatewayMac };
}

export function formatInner({
  ip,
  mac,
  gateway,
  gatewayMac,
}: InnerIdentity): Required<GuestIdentity> {
  return {
    ip: formatIpv4(ip),
    mac: formatMac(mac),
    gateway: formatIpv4(gateway),
    gatewayMac: formatMac(gatewayMac),
  };
}

/** Not "this host", loopback, multicast or reserved: no host answers to those. */
function checkHost(text: string, option: string): Ipv4 {
  const ip = parseIpv4(text, option);
  const first = ip >>> 24;
  if (first === 0 || first === 127 || first >= 224)
    throw configError(option, "an address that a host can have", text);
  return ip;
}
