// IPv4 and MAC addresses as numbers, and the subnet a network hands addresses out of.
// Text is parsed at the edge only, by ip-address; everything inside works on unsigned integers.

import { Address4 } from "ip-address";
import { configError } from "../errors.js";
import type { Ipv4, Mac } from "../kernel/messages.js";

/** The addresses of one network. */
export interface Subnet {
  readonly network: Ipv4;
  readonly mask: Ipv4;
  readonly prefixLength: number;
  readonly gateway: Ipv4;
  readonly broadcast: Ipv4;
}

const SMALLEST_PREFIX = 8;
const LARGEST_PREFIX = 29;

/** Reads "10.0.0.1". Refuses leading zeros, short forms and surrounding space. */
export function parseIpv4(text: unknown, option: string): Ipv4 {
  const expected = 'an IPv4 address like "10.100.0.7"';
  if (typeof text !== "string" || !/^\d{1,3}(?:\.\d{1,3}){3}$/.test(text))
    throw configError(option, expected, text);
  try {
    const ip = Number(new Address4(text).bigInt());
    // ip-address reads "010.1.2.3" as 8.1.2.3, as C does, and others read 10.1.2.3: only the
    // canonical form is safe.
    if (formatIpv4(ip) === text) return ip;
  } catch {
    // Falls through to the one error below.
  }
  throw configError(option, expected, text);
}

/** 0x0a000001 is "10.0.0.1". */
export function formatIpv4(ip: Ipv4): string {
  return `${ip >>> 24}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`;
}

/** Reads "02:00:0a:00:00:01"; refuses multicast and all-zero addresses, which no host can have. */
export function parseMac(text: unknown, option: string): Mac {
  if (typeof text !== "string" || !/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i.test(text)) {
    throw configError(option, 'a MAC address like "02:00:0a:64:00:07"', text);
  }
  const mac = Number.parseInt(text.replaceAll(":", ""), 16);
  const isMulticast = (Math.floor(mac / 2 ** 40) & 1) === 1;
  if (isMulticast || mac === 0) throw configError(option, "a unicast MAC address", text);
  return mac;
}

/** 0x02000a000001 is "02:00:0a:00:00:01". */
export function formatMac(mac: Mac): string {
  const hex = mac.toString(16).padStart(12, "0");
  // By hand: every fork spells one, and match() with join() takes six times as long.
  const at = (i: number) => hex.slice(i, i + 2);
  return `${at(0)}:${at(2)}:${at(4)}:${at(6)}:${at(8)}:${at(10)}`;
}

/** The locally administered MAC that goes with an address: 02:00 and its four bytes. */
export function macOf(ip: Ipv4): Mac {
  return 0x0200 * 2 ** 32 + ip;
}

/**
 * Reads "10.100.0.0/16" (/8 to /29) and the gateway; the gateway defaults to the first usable
 * address.
 */
export function parseSubnet(cidr: unknown, gateway: unknown): Subnet {
  const expected = `an IPv4 network like "10.100.0.0/16", /${SMALLEST_PREFIX} to /${LARGEST_PREFIX}`;
  const match = typeof cidr === "string" ? /^([\d.]+)\/(\d{1,2})$/.exec(cidr) : null;
  if (!match) throw configError("subnet", expected, cidr);
  const prefixLength = Number(match[2]);
  if (
    prefixLength < SMALLEST_PREFIX ||
    prefixLength > LARGEST_PREFIX ||
    String(prefixLength) !== match[2]
  ) {
    throw configError("subnet", expected, cidr);
  }
  const ip = parseIpv4(match[1], "subnet");
  const mask = (0xffffffff << (32 - prefixLength)) >>> 0;
  const network = (ip & mask) >>> 0;
  if (network !== ip) {
    throw configError(
      "subnet",
      `${expected} without host bits (${formatIpv4(network)}/${prefixLength})`,
      cidr,
    );
  }
  const broadcast = (network | ~mask) >>> 0;
  const own = gateway === undefined ? network + 1 : parseIpv4(gateway, "gateway");
  if (own <= network || own >= broadcast) {
    throw configError("gateway", `a usable address inside ${cidr}`, gateway);
  }
  return { network, mask, prefixLength, gateway: own, broadcast };
}

/** True for network, gateway and broadcast addresses inside, too. */
export function contains(subnet: Subnet, ip: Ipv4): boolean {
  return (ip & subnet.mask) >>> 0 === subnet.network;
}

/** Inside, and neither the network's, the gateway's nor the broadcast address. */
export function isForGuests(subnet: Subnet, ip: Ipv4): boolean {
  const isReserved = ip === subnet.network || ip === subnet.broadcast || ip === subnet.gateway;
  return contains(subnet, ip) && !isReserved;
}
