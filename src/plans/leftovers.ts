// What is in the kernel that the network does not know, as far as it is provably ours: TAPs, map
// entries, neighbour entries, and what failed undos left. The other half of survey.ts.

import type { NetworkFacts } from "../facts.js";
import { contains, macOf, type Subnet } from "../identity/ipv4.js";
import type { Remains } from "../identity/stranded.js";
import { type Kernel, NUD_PERMANENT } from "../kernel/kernel.js";
import type { Ipv4, Mac } from "../kernel/messages.js";
import { addressInAlias, classInAlias } from "../lease/alias.js";
import { decodeLease, type Lease } from "../lease/lease.js";
import type { KnownTap } from "./expected.js";
import type { Obstacle } from "./finding.js";
import type { Found } from "./found.js";
import type { GroupClass } from "./group.js";
import { leasedIn } from "./maps.js";
import { foreignClasses, isOwnTap } from "./ownership.js";
import { unprovedObstacle } from "./unproved.js";

/** A TAP that its lease or its alias proves to be ours, and that is not known. */
export interface UnknownTap {
  tapName: string;
  ifindex: number;
  ip: Ipv4;
  alias: string;
  /** Whose lease the map has for it. */
  lease?: Lease;
}

export interface UnknownLease {
  ifindex: number;
  /** 0 when it cannot be read. */
  ip: Ipv4;
}

export interface UnknownNeighbor {
  ip: Ipv4;
  mac: Mac;
}

/** Which objects of a stranded identity are still there. */
export interface Remaining {
  tap: boolean;
  neighbor: boolean;
  class: boolean;
}

/** What the network knows of. */
interface Known {
  taps: readonly KnownTap[];
  groups: readonly GroupClass[];
  stranded: readonly Remains[];
  subnet: Subnet;
}

export interface Leftovers {
  taps: UnknownTap[];
  /** Permanent, on our bridge, in our subnet, of no known TAP. */
  neighbors: UnknownNeighbor[];
  /** Entries of the lease map whose link is gone. */
  leases: UnknownLease[];
  /** Minors of classes on the shaper that nothing proves to be ours. */
  foreignClasses: number[];
  /** For each stranded identity. */
  remaining: Remaining[];
}

export function leftovers(found: Found, { taps, groups, stranded, subnet }: Known): Leftovers {
  const unknown = unknownTaps(found, taps, stranded);
  const known = [...taps.map((tap) => tap.class), ...groups];
  const minors = [...known.map(({ minor }) => minor), ...namedClasses(found)];
  return {
    taps: unknown,
    neighbors: unknownNeighbors(found, taps, subnet),
    leases: [...found.leases]
      .filter(([ifindex]) => !found.links.has(ifindex))
      .map(([ifindex, value]) => ({ ifindex, ip: decodeLease(value)?.ip ?? 0 })),
    foreignClasses: foreignClasses([...found.classes.values()], new Set(minors)),
    remaining: stranded.map((one) => remaining(found, one)),
  };
}

/** Classes that leases and aliases name. */
function namedClasses(found: Found): number[] {
  const leased = [...found.leases.values()].map((value) => decodeLease(value)?.classMinor ?? 0);
  return [...leased, ...found.ownTaps.map(({ alias }) => classInAlias(alias) ?? 0)];
}

/** Without those that were not proved when the network opened: their alias may be a copy. */
function unknownTaps(
  found: Found,
  taps: readonly KnownTap[],
  stranded: readonly Remains[],
): UnknownTap[] {
  const unproved = stranded.filter(({ isUnproved }) => isUnproved);
  const known = new Set([...taps, ...unproved].map(({ ifindex }) => ifindex));
  // One that is marked for deletion, too: no deletion runs beside a survey, so that one has failed.
  return found.ownTaps
    .filter(({ ifindex }) => !known.has(ifindex))
    .map(({ name, ifindex, alias }) => {
      const entry = found.leases.get(ifindex);
      const lease = entry && decodeLease(entry);
      return {
        tapName: name,
        ifindex,
        alias,
        ip: lease?.ip ?? addressInAlias(alias) ?? 0,
        ...(lease && { lease }),
      };
    });
}

function unknownNeighbors(
  found: Found,
  taps: readonly KnownTap[],
  subnet: Subnet,
): UnknownNeighbor[] {
  const known = new Set(taps.map(({ ip }) => ip));
  return [...found.neighbors.values()]
    .filter(({ ip, state }) => state & NUD_PERMANENT && contains(subnet, ip) && !known.has(ip))
    .map(({ ip, mac }) => ({ ip, mac }));
}

function remaining(found: Found, one: Remains): Remaining {
  const { tapName, ifindex, ip, mac, classMinor } = one;
  if (one.isUnproved) return { tap: isThere(found, one), neighbor: false, class: false };
  const isTap = (link: { name: string; ifindex: number }) =>
    ifindex === undefined ? link.name === tapName : link.ifindex === ifindex;
  const neighbor = found.neighbors.get(ip);
  const minors = [...found.classes.keys()].map((handle) => handle & 0xffff);
  return {
    tap: found.ownTaps.some(isTap),
    neighbor: neighbor !== undefined && neighbor.mac === (mac ?? macOf(ip)),
    class: classMinor !== undefined && minors.includes(classMinor),
  };
}

function isThere({ links }: Found, { ifindex = 0 }: Remains): boolean {
  return links.get(ifindex)?.kind === "tun";
}

/** TAPs that nothing proved to be ours, for as long as they are there. */
export function unprovedObstacles(found: Found, stranded: readonly Remains[]): Obstacle[] {
  const bridge = found.facts.bridge.name;
  return stranded
    .filter((one) => one.isUnproved && isThere(found, one))
    .map(({ tapName }) => unprovedObstacle(tapName, bridge));
}

/** What a survey saw and nobody knows: TAPs by ifindex, neighbours by address. */
export interface Candidates {
  taps: number[];
  neighbors: Ipv4[];
}

/** Those of the candidates that are there and provably ours. */
export function confirm(
  kernel: Kernel,
  { facts, subnet, taps, neighbors }: Candidates & { facts: NetworkFacts; subnet: Subnet },
): Candidates {
  const entries = neighbors.length > 0 ? kernel.neighbors(facts.bridge.ifindex) : [];
  const there = new Set(entries.map(({ ip }) => ip));
  const leased = leasedIn(kernel, facts.maps);
  return {
    taps: taps.filter((ifindex) => {
      const link = kernel.link({ ifindex });
      return link !== undefined && isOwnTap(kernel, link, facts.bridge.ifindex, subnet, leased);
    }),
    neighbors: neighbors.filter((ip) => there.has(ip)),
  };
}
