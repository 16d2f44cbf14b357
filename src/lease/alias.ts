// The alias of a TAP: the lease as an operator reads it in `ip link`, and the spare copy from which
// the kernel map is rebuilt where a process may not open the map of its predecessor.

import { type BitsPerSecond, formatBandwidth, parseBandwidth } from "../bandwidth.js";
import { isGuestMinor } from "../identity/class-pool.js";
import type { InnerIdentity } from "../identity/guest-identity.js";
import { formatIpv4, formatMac, parseIpv4, parseMac } from "../identity/ipv4.js";
import type { Ipv4, Mac } from "../kernel/messages.js";
import type { Lease } from "./lease.js";

/** What starts every alias of ours; the digit is the format's version. */
export const ALIAS_PREFIX = "forknet1 ";
/**
 * Characters of id, name and group together: with more, an alias of long rates could not hold all of
 * them. Two labels without a group always fit.
 */
export const MOST_LABEL_CHARACTERS = 120;
/** The same for a guest that is translated, with a group or without: two UUIDs. */
export const MOST_TRANSLATED_LABEL_CHARACTERS = 72;

/**
 * `forknet1 ID NAME IP MAC 1:CLASS down=RATE up=RATE/CEIL at=MS36 [group=GROUP]
 * [guest=IP/MAC/GATEWAY/MAC in hex]`, at most 255 bytes, which is what the kernel keeps (see
 * MOST_LABEL_CHARACTERS). A rate is "max" when unlimited. Blocking is not in
 * it: it lives in the map only.
 */
export function formatAlias(lease: Lease): string {
  const { download, upload } = lease.limits;
  const down = download === null ? "max" : formatRate(download);
  const up = upload === null ? "max" : `${formatRate(upload.rate)}/${formatRate(upload.ceil)}`;
  const class_ = `1:${lease.classMinor.toString(16)}`;
  const address = `${formatIpv4(lease.ip)} ${formatMac(lease.mac)}`;
  const made = lease.createdMs.toString(36);
  return `${ALIAS_PREFIX}${lease.instanceId} ${lease.instanceName} ${address} ${class_} down=${down} up=${up} at=${made}${lease.group === undefined ? "" : ` group=${lease.group}`}${lease.guest === undefined ? "" : ` guest=${formatGuest(lease.guest)}`}`;
}

/** Without dots and colons, for which there is no room: a9fe4d02/060000000002/a9fe4d01/... */
function formatGuest({ ip, mac, gateway, gatewayMac }: InnerIdentity): string {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
  return [hex(ip, 8), hex(mac, 12), hex(gateway, 8), hex(gatewayMac, 12)].join("/");
}

/** `text` is of formatGuest's form. */
function parseGuest(text: string): InnerIdentity {
  const [ip, mac, gateway, gatewayMac] = text.split("/").map((hex) => Number.parseInt(hex, 16));
  return { ip, mac, gateway, gatewayMac } as InnerIdentity;
}

/**
 * Without a unit where it would be "bit": three rates of 16 digits and two names of 64 leave no
 * room for it.
 */
function formatRate(bits: BitsPerSecond): string {
  return formatBandwidth(bits).replace(/(\d)bit$/, "$1");
}

/**
 * The alias of a slot that no guest has yet. Ids cannot start a slash, so it never reads as a
 * lease.
 */
export function formatSlotAlias(ip: Ipv4, mac: Mac, classMinor: number): string {
  return `${ALIAS_PREFIX}/slot ${formatIpv4(ip)} ${formatMac(mac)} 1:${classMinor.toString(16)}`;
}

/** Of formatSlotAlias's form. */
export function isSlotAlias(alias: string): boolean {
  return alias.startsWith(`${ALIAS_PREFIX}/slot `) && classInAlias(alias) !== undefined;
}

/**
 * Reads formatAlias's form; undefined for anything else, a slot's alias and a class that is no
 * guest's included.
 */
export function parseAlias(alias: string): Lease | undefined {
  const pattern =
    /^forknet1 ([A-Za-z0-9._-]{1,64}) ([A-Za-z0-9._-]{1,64}) ([\d.]+) ([\da-f:]{17}) 1:([\da-f]{1,4}) down=(\w+) up=(\w+)(?:\/(\w+))? at=(\w+)(?: group=([A-Za-z0-9._-]{1,64}))?(?: guest=([\da-f]{8}\/[\da-f]{12}\/[\da-f]{8}\/[\da-f]{12}))?$/;
  const match = pattern.exec(alias);
  if (!match) return undefined;
  const [, instanceId, instanceName, ip, mac, minor, down, rate, ceil, at, group, guest] =
    match as unknown as string[];
  const classMinor = Number.parseInt(minor as string, 16);
  if (!isGuestMinor(classMinor)) return undefined;
  try {
    const bits = (text: string | undefined) => parseBandwidth(text, "alias");
    return {
      instanceId: instanceId as string,
      instanceName: instanceName as string,
      ip: parseIpv4(ip, "alias"),
      mac: parseMac(mac, "alias"),
      classMinor,
      limits: {
        download: down === "max" ? null : bits(down),
        upload: rate === "max" ? null : { rate: bits(rate), ceil: bits(ceil ?? rate) },
      },
      ...(group === undefined ? {} : { group }),
      ...(guest === undefined ? {} : { guest: parseGuest(guest) }),
      createdMs: Number.parseInt(at as string, 36),
      generation: 0,
      blocked: false,
    };
  } catch {
    return undefined;
  }
}

/**
 * The address in any alias of ours, a slot's included; undefined for the bridge's, the shaper's and
 * foreign ones.
 */
export function addressInAlias(alias: string): Ipv4 | undefined {
  const match = /^forknet1 (?:\/slot|[A-Za-z0-9._-]+ [A-Za-z0-9._-]+) ([\d.]+) /.exec(alias);
  try {
    return match ? parseIpv4(match[1], "alias") : undefined;
  } catch {
    return undefined;
  }
}

/** The class in any alias of a TAP of ours, a slot's included; undefined for any other. */
export function classInAlias(alias: string): number | undefined {
  const match =
    /^forknet1 (?:\/slot|[A-Za-z0-9._-]+ [A-Za-z0-9._-]+) [\d.]+ [\da-f:]{17} 1:([\da-f]{1,4})(?: |$)/.exec(
      alias,
    );
  return match ? Number.parseInt(match[1] as string, 16) : undefined;
}
