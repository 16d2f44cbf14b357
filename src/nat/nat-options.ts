// The `nat` option of openNetwork: its form and its checks. Nothing here touches the kernel.

import { configError } from "../errors.js";
import { formatIpv4, parseIpv4 } from "../identity/ipv4.js";
import { checkKeys } from "../option-checks.js";

/** Masquerading and the firewall around the guests. */
export interface NatOptions {
  /**
   * The interface that guests leave the host by; they are forwarded to no other. Default: any but
   * the bridge.
   */
  uplink?: string;
  /**
   * Turns forwarding of IPv4 on where it is off: at the bridge and the uplink, or the links of the
   * default routes. Without, that is an error. Default false.
   */
  enableForwarding?: boolean;
  /**
   * What of the host guests may reach beside the gateway's address: "tcp:8080", "udp:5000-5100" and
   * "icmp" at any of its addresses, "192.0.2.7" for one address with everything at it.
   */
  allowHost?: string[];
  /**
   * Puts the rules back at once when somebody else takes them away or changes them, at most once a
   * second. Without, forknet:drift tells it, and reconcile repairs. Default true.
   */
  repair?: boolean;
}

/** One entry of `allowHost`. */
export type HostAccess =
  | { kind: "port"; protocol: "tcp" | "udp"; first: number; last: number }
  | { kind: "icmp" }
  | { kind: "address"; ip: string };

export interface ResolvedNat {
  uplink: string | undefined;
  enableForwarding: boolean;
  allowHost: readonly HostAccess[];
  repair: boolean;
}

const KNOWN = new Set(["uplink", "enableForwarding", "allowHost", "repair"]);
/** What neither nft nor iptables reads as a pattern ("*", "+"), a quote or an operator. */
const PLAIN_LINK_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,14}$/;
const LARGEST_PORT = 65_535;
const MOST_ENTRIES = 256;

/** Undefined when NAT is off. Throws ERR_FORKNET_CONFIG. `bridge` is checked as a link's name. */
export function resolveNat(value: unknown, bridge: string): ResolvedNat | undefined {
  if (value === false) return undefined;
  if (value === true) throw configError("nat", "false or an object; {} for all defaults", value);
  checkKeys(value, KNOWN, "nat");
  const { uplink, enableForwarding = false, allowHost = [], repair = true } = value as NatOptions;
  if (!PLAIN_LINK_NAME.test(bridge))
    throw configError("bridge", "a name of letters, digits, '.', '_' and '-' with nat", bridge);
  if (uplink !== undefined) checkUplink(uplink, bridge);
  if (typeof enableForwarding !== "boolean")
    throw configError("nat.enableForwarding", "true or false", enableForwarding);
  if (typeof repair !== "boolean") throw configError("nat.repair", "true or false", repair);
  if (!Array.isArray(allowHost) || allowHost.length > MOST_ENTRIES)
    throw configError("nat.allowHost", `an array of at most ${MOST_ENTRIES} entries`, allowHost);
  return { uplink, enableForwarding, allowHost: allowHost.map(parseHostAccess), repair };
}

function checkUplink(uplink: unknown, bridge: string): void {
  if (typeof uplink !== "string" || !PLAIN_LINK_NAME.test(uplink))
    throw configError(
      "nat.uplink",
      "an interface name of letters, digits, '.', '_' and '-'",
      uplink,
    );
  if (uplink === bridge)
    throw configError("nat.uplink", "another interface than the bridge", uplink);
}

function parseHostAccess(entry: unknown): HostAccess {
  if (entry === "icmp") return { kind: "icmp" };
  const text = typeof entry === "string" ? entry : "";
  const ports = /^(tcp|udp):([1-9][0-9]{0,4})(?:-([1-9][0-9]{0,4}))?$/.exec(text);
  if (ports) {
    const protocol = ports[1] as "tcp" | "udp";
    const first = Number(ports[2]);
    const last = Number(ports[3] ?? first);
    if (first <= last && last <= LARGEST_PORT) return { kind: "port", protocol, first, last };
  } else if (/^[0-9.]+$/.test(text)) {
    return { kind: "address", ip: formatIpv4(parseIpv4(text, "nat.allowHost")) };
  }
  throw configError(
    "nat.allowHost",
    '"tcp:PORT", "udp:PORT", "tcp:FIRST-LAST", "icmp" or an IPv4 address',
    entry,
  );
}
