// The leases of live guests as an earlier process left them: in the map that it filled or, where that
// may not be read, in the aliases of its TAPs.

import type { NetworkFacts } from "../facts.js";
import { ownerOf, sameOwner, type TapOwner } from "../identity/tap-owner.js";
import type { LinkInfo } from "../kernel/binding.js";
import type { Kernel } from "../kernel/kernel.js";
import { parseAlias } from "../lease/alias.js";
import { decodeLease, encodeLease, keyOf, LEASE_BYTES, type Lease } from "../lease/lease.js";
import { isCondemned } from "./condemned.js";

export interface FoundLeases {
  /** By ifindex. */
  leases: Map<number, Lease>;
  /** TAPs that may be a guest's, nobody knows whose. */
  doubtful: ReadonlySet<number>;
}

/** Reads the map, and deletes the entries whose TAP is gone. */
export function readLeases(
  kernel: Kernel,
  { maps }: Pick<NetworkFacts, "maps">,
  taps: readonly LinkInfo[],
): FoundLeases {
  const present = new Set(taps.map(({ ifindex }) => ifindex));
  const leases = new Map<number, Lease>();
  for (const { key, value } of kernel.bpf.mapEntries(maps.leases, 4, LEASE_BYTES)) {
    const ifindex = key.readUInt32LE(0);
    const lease = decodeLease(value);
    if (lease && present.has(ifindex)) leases.set(ifindex, lease);
    else kernel.bpf.mapDelete(maps.leases, key);
  }
  return { leases, doubtful: new Set() };
}

interface Claim {
  ifindex: number;
  lease: Lease;
}

/** Fills a new map. An alias may have been copied: who of several with one text has it, the bridge tells. */
export function rebuildLeases(
  kernel: Kernel,
  facts: Pick<NetworkFacts, "maps" | "bridge" | "tap">,
  taps: readonly LinkInfo[],
): FoundLeases {
  const { maps, bridge } = facts;
  const claims = taps.flatMap((tap): Claim[] => {
    const { ifindex, alias, master, group } = tap;
    const lease = parseAlias(alias);
    if (!lease || master === 0 || isCondemned(group, bridge.ifindex)) return [];
    return [{ ifindex, lease: { ...lease, ...ownerOnTap(facts, tap) } }];
  });
  const doubtful = copies(kernel, bridge.ifindex, claims);
  const proved = claims.filter(({ ifindex }) => !doubtful.has(ifindex));
  for (const { ifindex, lease } of proved)
    kernel.bpf.mapSet(maps.leases, keyOf(ifindex), encodeLease(lease));
  return { leases: new Map(proved.map(({ ifindex, lease }) => [ifindex, lease])), doubtful };
}

/**
 * An alias has no room for the owner, so the TAP itself tells it. The network's own owner is not the
 * guest's.
 */
function ownerOnTap(facts: Pick<NetworkFacts, "tap">, tap: LinkInfo): Pick<Lease, "owner"> {
  const owner = ownerWhenMade(facts, tap);
  return sameOwner(owner, ownerOf(facts.tap)) ? {} : { owner };
}

/**
 * Of a guest without an owner of its own: its TAP keeps the owner that the network had when it was
 * made, also when this process was told another. A TAP that opens for everybody was not made so.
 */
export function ownerWhenMade(facts: Pick<NetworkFacts, "tap">, { tun }: LinkInfo): TapOwner {
  const owner = ownerOf(tun ?? {});
  return sameOwner(owner, {}) ? ownerOf(facts.tap) : owner;
}

/** Of TAPs that claim one address, all but the one that the bridge sends its frames to. */
function copies(kernel: Kernel, bridge: number, claims: readonly Claim[]): Set<number> {
  const first = new Map<number, Claim>();
  const contested = new Set<number>();
  for (const claim of claims) {
    const { ip } = claim.lease;
    if (first.has(ip)) contested.add(ip);
    else first.set(ip, claim);
  }
  if (contested.size === 0) return new Set();
  const entries = kernel.fdb(bridge);
  const isHome = ({ ifindex, lease }: Claim) =>
    entries.some((one) => one.mac === lease.mac && one.ifindex === ifindex);
  const rivals = claims.filter(({ lease }) => contested.has(lease.ip));
  const owners = [...contested].map((ip) =>
    rivals.find((one) => one.lease.ip === ip && isHome(one)),
  );
  return new Set(rivals.filter((one) => !owners.includes(one)).map(({ ifindex }) => ifindex));
}
