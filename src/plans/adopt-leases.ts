// The leases of live guests as an earlier process left them: in the map that it filled or, where that
// may not be read, in the aliases of its TAPs.

import type { NetworkFacts } from "../facts.js";
import type { Subnet } from "../identity/ipv4.js";
import { ownerOf, sameOwner, type TapOwner } from "../identity/tap-owner.js";
import type { LinkInfo } from "../kernel/binding.js";
import type { Kernel } from "../kernel/kernel.js";
import { isSlotAlias, parseAlias } from "../lease/alias.js";
import { decodeLease, encodeLease, keyOf, LEASE_BYTES, type Lease } from "../lease/lease.js";
import { type Claim, provedClaims } from "./alias-proof.js";
import { isCondemned } from "./condemned.js";
import { wasOpened } from "./give.js";
import { isLeasedByGuard } from "./maps.js";

export interface FoundLeases {
  /** By ifindex. */
  leases: Map<number, Lease>;
  /** TAPs that may be a guest's, nobody knows whose. */
  doubtful: ReadonlySet<number>;
}

/**
 * Reads the map, and deletes the entries whose TAP is gone. Doubtful is a TAP that only the map of an
 * earlier process has a lease for: one in between could read aliases alone, and its did not fit.
 */
export function readLeases(
  kernel: Kernel,
  { maps, gateway, bridge }: Pick<NetworkFacts, "maps" | "gateway" | "bridge">,
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
  const doubtful = taps.filter(
    ({ ifindex, group }) =>
      !leases.has(ifindex) &&
      !isCondemned(group, bridge.ifindex) &&
      isLeasedByGuard(kernel, gateway.ip, ifindex),
  );
  return { leases, doubtful: new Set(doubtful.map(({ ifindex }) => ifindex)) };
}

/**
 * Fills a new map with what the aliases say, as far as nothing contradicts them. Doubtful is what may
 * be a machine's all the same: an alias that does not fit its TAP, one that nobody can read, and a
 * slot's on a TAP that somebody has opened.
 */
export function rebuildLeases(
  kernel: Kernel,
  facts: Pick<NetworkFacts, "maps" | "bridge" | "shaper" | "tap">,
  subnet: Subnet,
  taps: readonly LinkInfo[],
): FoundLeases {
  const { maps, bridge } = facts;
  const inPlace = taps.filter(
    (tap) => !isUnfinished(tap) && !isCondemned(tap.group, bridge.ifindex),
  );
  const claims = inPlace.flatMap((tap): Claim[] => {
    const lease = parseAlias(tap.alias);
    return lease ? [{ ifindex: tap.ifindex, lease: { ...lease, ...ownerOnTap(facts, tap) } }] : [];
  });
  const proved = provedClaims(kernel, facts, subnet, claims);
  for (const { ifindex, lease } of proved)
    kernel.bpf.mapSet(maps.leases, keyOf(ifindex), encodeLease(lease));
  const leases = new Map(proved.map(({ ifindex, lease }) => [ifindex, lease]));
  const doubtful = inPlace.filter((tap) => !leases.has(tap.ifindex) && !isFreeSlot(tap));
  return { leases, doubtful: new Set(doubtful.map(({ ifindex }) => ifindex)) };
}

/** A process died while it made this TAP. One that was opened has left the bridge since. */
function isUnfinished(tap: LinkInfo): boolean {
  return tap.master === 0 && !wasOpened(tap);
}

function isFreeSlot(tap: LinkInfo): boolean {
  return isSlotAlias(tap.alias) && !wasOpened(tap);
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
