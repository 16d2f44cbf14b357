// The options of openNetwork: their types, defaults (all in one object) and checks. Nothing here
// touches the kernel.

import { isAbsolute, join } from "node:path";
import { type Bandwidth, type BitsPerSecond, parseBandwidth } from "./bandwidth.js";
import { configError } from "./errors.js";
import { formatIpv4, parseIpv4, parseSubnet, type Subnet } from "./identity/ipv4.js";
import { checkId } from "./identity/tap-owner.js";
import { LARGEST_MTU, LEAST_MTU, type ShapingDefaults } from "./limits.js";
import { type NatOptions, type ResolvedNat, resolveNat } from "./nat/nat-options.js";
import { checkKeys, checkLinkName, checkWhole } from "./option-checks.js";

/** What openNetwork takes. Everything but `bridge` and `subnet` has a default. */
export interface NetworkOptions {
  /** Name of the Linux bridge, at most 15 bytes. Made when it does not exist. */
  bridge: string;
  /** IPv4 network of the guests, /8 to /29: "10.100.0.0/16". */
  subnet: string;
  /** The bridge's own address. Default: the first usable one. */
  gateway?: string;
  /** Handed through to `allocation.dns`. Default ["1.1.1.1"]. */
  dns?: string[];
  /** Guests exchange nothing, neither bridged nor routed. Default true. */
  isolated?: boolean;
  /**
   * Guests may have another identity than the one in their memory, see AllocationRequest.guest.
   * Default false.
   */
  translate?: boolean;
  /**
   * What guests share by borrowing, and the bound on the sum of their upload rates. Default
   * "10gbit".
   */
  uploadCapacity?: Bandwidth;
  /** Upload ceil = rate x this when no ceil is given. Default 4. */
  uploadBurstMultiplier?: number;
  /** Download bucket = rate x this / 250 seconds. Default 4. */
  downloadBurstMultiplier?: number;
  /** Longest a download frame waits in the TBF's queue. Default 50. */
  downloadLatencyMs?: number;
  /**
   * Longest an upload frame waits in its guest's queue while the guest gets its guaranteed rate;
   * where the ceil is over ten times that, a tenth of it at the ceil; where it is over 100 mbit, as
   * long as two segmented frames of 64 KB take. Default 50.
   */
  uploadLatencyMs?: number;
  /**
   * What a guest has until its own limits are in place: the base limit, or nothing. Default
   * "limit".
   */
  unshaped?: "limit" | "block";
  /** Both directions of `unshaped: "limit"`. Default "10mbit". */
  baseLimit?: Bandwidth;
  /** Warm slots kept ready; 0 for none. Default { size: 32 }. */
  pool?: { size: number };
  /**
   * Who may open the TAPs, and how: multiQueue must match the VMM. `owner` alone: processes of this
   * uid; `group` alone: any user of this group; both: this uid in this group. Default: the agent's
   * own effective uid. Any process that may open one TAP of the network may open all of them, warm
   * slots included: AllocationRequest.owner gives a guest's TAP to one uid.
   */
  tap?: { owner?: number; group?: number; vnetHdr?: boolean; multiQueue?: boolean };
  /**
   * Frames whose checksum a guest leaves to the host, where the kernel does not tell the guard which
   * bytes it will write: drop them all (guests must then complete their checksums themselves), or
   * accept them all (a guest can change what the guard judged). Without it such a kernel is refused
   * with UNSUPPORTED; on others it changes nothing.
   */
  unverifiedChecksums?: "drop" | "accept";
  /**
   * Of the TAPs, and of a bridge that forknet makes, in bytes: 68 to 65521. Default: the bridge's
   * when it is there, else 1500. On somebody else's bridge another one is refused with CONFLICT: a port
   * with less than the bridge's loses frames, or lowers the bridge.
   */
  mtu?: number;
  /** Standby leases and the lock file. Default "/var/lib/forknet/<bridge>". */
  stateDir?: string;
  /** Masquerading and a firewall around the guests, by nftables; {} for all defaults. Default false. */
  nat?: false | NatOptions;
}

/** Options after checking, in internal units. */
export interface ResolvedOptions extends Omit<ShapingDefaults, "mtu"> {
  bridge: string;
  subnet: Subnet;
  dns: readonly string[];
  isolated: boolean;
  translate: boolean;
  uploadCapacity: BitsPerSecond;
  unshaped: "limit" | "block";
  poolSize: number;
  tap: { owner?: number; group?: number; vnetHdr: boolean; multiQueue: boolean };
  unverifiedChecksums: "drop" | "accept" | undefined;
  /** Undefined: the bridge's. */
  mtu: number | undefined;
  stateDir: string;
  /** Undefined: forknet has nothing to do with it. */
  nat: ResolvedNat | undefined;
}

/** The options of a network that is open: what the bridge decided is known. */
export type SettledOptions = ResolvedOptions & ShapingDefaults & { isMtuAsked: boolean };

const DEFAULTS = {
  dns: ["1.1.1.1"],
  isolated: true,
  translate: false,
  uploadCapacity: "10gbit",
  uploadBurstMultiplier: 4,
  downloadBurstMultiplier: 4,
  downloadLatencyMs: 50,
  uploadLatencyMs: 50,
  unshaped: "limit",
  baseLimit: "10mbit",
  pool: { size: 32 },
  nat: false,
} as const;

const KNOWN = new Set([
  "bridge",
  "subnet",
  "gateway",
  "tap",
  "unverifiedChecksums",
  "mtu",
  "stateDir",
  ...Object.keys(DEFAULTS),
]);
/**
 * A bridge has 1023 ports; some stay free for forks that need an exact name while the pool is full.
 */
const LARGEST_POOL = 512;

/** Checks every option; throws ERR_FORKNET_CONFIG and changes nothing. */
export function resolveOptions(options: NetworkOptions): ResolvedOptions {
  checkKeys(options, KNOWN, "openNetwork");
  const given = { ...DEFAULTS, ...withoutUndefined(options) } as Required<NetworkOptions>;
  if (given.unshaped !== "limit" && given.unshaped !== "block") {
    throw configError("unshaped", '"limit" or "block"', given.unshaped);
  }
  const bridge = checkLinkName(given.bridge, "bridge");
  const stateDir = given.stateDir === undefined ? defaultStateDir(bridge) : given.stateDir;
  if (typeof stateDir !== "string" || !isAbsolute(stateDir))
    throw configError("stateDir", "an absolute path", stateDir);
  return {
    bridge,
    subnet: parseSubnet(given.subnet, given.gateway),
    dns: checkDns(given.dns),
    isolated: checkBoolean(given.isolated, "isolated"),
    translate: checkBoolean(given.translate, "translate"),
    uploadCapacity: parseBandwidth(given.uploadCapacity, "uploadCapacity"),
    uploadBurstMultiplier: checkNumber(
      given.uploadBurstMultiplier,
      "uploadBurstMultiplier",
      1,
      1000,
    ),
    downloadBurstMultiplier: checkNumber(
      given.downloadBurstMultiplier,
      "downloadBurstMultiplier",
      1,
      1000,
    ),
    downloadLatencyMs: checkNumber(given.downloadLatencyMs, "downloadLatencyMs", 1, 10_000),
    uploadLatencyMs: checkNumber(given.uploadLatencyMs, "uploadLatencyMs", 1, 10_000),
    unshaped: given.unshaped,
    baseLimit: parseBandwidth(given.baseLimit, "baseLimit"),
    poolSize: checkPool(given.pool),
    tap: checkTap(given.tap === undefined ? {} : given.tap),
    unverifiedChecksums: checkUnverified(given.unverifiedChecksums),
    mtu: given.mtu === undefined ? undefined : checkWhole(given.mtu, "mtu", LARGEST_MTU, LEAST_MTU),
    stateDir,
    nat: resolveNat(given.nat, bridge),
  };
}

/** Where a network keeps its state when it is told nothing else. */
export function defaultStateDir(bridge: string): string {
  return join("/var/lib/forknet", bridge);
}

function withoutUndefined<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as Partial<T>;
}

function checkBoolean(value: unknown, option: string): boolean {
  if (typeof value !== "boolean") throw configError(option, "true or false", value);
  return value;
}

function checkNumber(value: unknown, option: string, least: number, most: number): number {
  if (typeof value !== "number" || !(value >= least && value <= most)) {
    throw configError(option, `a number from ${least} to ${most}`, value);
  }
  return value;
}

function checkUnverified(value: unknown): ResolvedOptions["unverifiedChecksums"] {
  if (value === undefined || value === "drop" || value === "accept") return value;
  throw configError("unverifiedChecksums", '"drop" or "accept"', value);
}

function checkDns(value: unknown): readonly string[] {
  if (!Array.isArray(value)) throw configError("dns", "an array of IPv4 addresses", value);
  return Object.freeze(value.map((server) => formatIpv4(parseIpv4(server, "dns"))));
}

function checkPool(value: unknown): number {
  checkKeys(value, new Set(["size"]), "pool");
  return checkWhole((value as { size: unknown }).size, "pool.size", LARGEST_POOL);
}

function checkTap(value: NonNullable<NetworkOptions["tap"]>): ResolvedOptions["tap"] {
  checkKeys(value, new Set(["owner", "group", "vnetHdr", "multiQueue"]), "tap");
  const { group } = value;
  // A TAP without owner and group opens for anybody who can open /dev/net/tun, so one is always set.
  const owner = value.owner ?? (group === undefined ? (process.geteuid?.() ?? 0) : undefined);
  return {
    ...(owner === undefined ? {} : { owner: checkId(owner, "tap.owner") }),
    ...(group === undefined ? {} : { group: checkId(group, "tap.group") }),
    vnetHdr: checkBoolean(value.vnetHdr ?? true, "tap.vnetHdr"),
    multiQueue: checkBoolean(value.multiQueue ?? false, "tap.multiQueue"),
  };
}
