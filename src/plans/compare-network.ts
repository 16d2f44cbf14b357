// The part of a survey about the network itself: bridge and shaper, and what others have in its way.

import type { Subnet } from "../identity/ipv4.js";
import { formatMac } from "../identity/ipv4.js";
import type { LinkInfo } from "../kernel/binding.js";
import type { Kernel } from "../kernel/kernel.js";
import { bridgeAlias, hasAddress } from "./bridge.js";
import { compare } from "./compare.js";
import { shaperMessages } from "./expected.js";
import { type Finding, finding, type Obstacle } from "./finding.js";
import type { Found } from "./found.js";
import { unprovedObstacles } from "./leftovers.js";
import { findObstacles } from "./obstacles.js";
import { findOthers, isShared, type Others } from "./others.js";
import { findOverlaps, formatCidr } from "./overlap.js";
import type { SurveyJob } from "./survey.js";

export interface NetworkState {
  /** What has no repair is put right by opening anew what is there: see restore() in open.ts. */
  findings: Finding[];
  obstacles: Obstacle[];
  /** Bridge or shaper is gone. */
  isLacking: boolean;
}

export function compareNetwork(kernel: Kernel, found: Found, job: SurveyJob): NetworkState {
  const { facts, capacity, subnet, withOverlaps } = job;
  const { bridge, shaper } = facts;
  const link = found.links.get(bridge.ifindex);
  const obstacles = [
    ...(withOverlaps ? findOverlaps(kernel, bridge.ifindex, subnet) : []),
    ...unprovedObstacles(found, job.stranded),
  ];
  const missing = Object.entries({ bridge, shaper })
    .filter(([, { ifindex }]) => !found.links.has(ifindex))
    .map(([what, { name }]) => finding(what, name, undefined, []));
  if (!link) return { findings: missing, obstacles, isLacking: true };
  const members = [...found.links.values()].filter(({ master }) => master === bridge.ifindex);
  const others = findOthers(kernel, bridge.ifindex, subnet, members);
  const name = compareName(found, link, others);
  if (missing.length > 0) return { findings: [...name, ...missing], obstacles, isLacking: true };
  return {
    findings: [
      ...name,
      ...compareAddress(kernel, found, subnet),
      ...compareMac(found, link, others),
      ...compareSettings(found, link, subnet, others),
      ...compare(found, shaperMessages(facts, capacity)),
      ...compareUp(found, link, others),
    ],
    obstacles: [
      ...findObstacles(
        kernel,
        link,
        { subnet, hasNat: job.hasNat, mtu: facts.mtu, isMtuAsked: job.isMtuAsked },
        others,
      ),
      ...obstacles,
    ],
    isLacking: false,
  };
}

/**
 * The name is what nat's rules know guests by, and the next open the bridge. That of one that others use
 * is theirs to give back: restore() refuses to go on without it, and says how.
 */
function compareName({ facts }: Found, { ifindex, name }: LinkInfo, others: Others): Finding[] {
  const { bridge } = facts;
  if (name === bridge.name) return [];
  const isOurs = bridge.madeByUs && !isShared(others);
  const repair = isOurs ? [{ op: "link.set" as const, ifindex, name: bridge.name }] : [];
  return [finding("name", bridge.name, name, repair)];
}

/** Where it would be the first that forknet adds to somebody else's bridge, restore() remembers it, too. */
function compareAddress(kernel: Kernel, { facts }: Found, subnet: Subnet): Finding[] {
  const { ifindex, madeByUs, addressAdded } = facts.bridge;
  const address = { ifindex, ip: subnet.gateway, prefixLength: subnet.prefixLength };
  if (hasAddress(kernel, address)) return [];
  const repair = madeByUs || addressAdded ? [{ op: "address.add" as const, ...address }] : [];
  return [finding("address", formatCidr(address), undefined, repair)];
}

/** What is ours on our own bridge, unless others use that by now, is left alone elsewhere. */
function compareSettings(
  found: Found,
  { ifindex }: LinkInfo,
  subnet: Subnet,
  others: Others,
): Finding[] {
  if (!found.facts.bridge.madeByUs) return [];
  const link = { op: "link.set", ifindex } as const;
  return compare(found, [
    // It proves whose the bridge is, whoever uses it.
    { ...link, alias: bridgeAlias(subnet) },
    ...(isShared(others) ? [] : [{ ...link, mtu: found.facts.mtu, sendRedirects: false }]),
  ]);
}

/** The MAC is ours on our own bridge, unless others use that by now; elsewhere it is followed. */
function compareMac({ facts }: Found, { ifindex, mac }: LinkInfo, others: Others): Finding[] {
  const { bridge, gateway } = facts;
  if (mac === gateway.mac) return [];
  const isOurs = bridge.madeByUs && !isShared(others);
  const repair = isOurs ? [{ op: "link.set" as const, ifindex, mac: gateway.mac }] : [];
  return [finding("mac", formatMac(gateway.mac), formatMac(mac), repair)];
}

/** A bridge of others that is down is a warning: see findObstacles. */
function compareUp(found: Found, { ifindex }: LinkInfo, others: Others): Finding[] {
  if (!found.facts.bridge.madeByUs && isShared(others)) return [];
  return compare(found, [{ op: "link.set", ifindex, up: true }]);
}
