// The part of a survey about the network itself: bridge and shaper, and what others have in its way.

import type { Subnet } from "../identity/ipv4.js";
import { formatMac } from "../identity/ipv4.js";
import type { LinkInfo } from "../kernel/binding.js";
import type { Kernel } from "../kernel/kernel.js";
import { bridgeAlias } from "./bridge.js";
import { compare } from "./compare.js";
import { shaperMessages } from "./expected.js";
import { type Finding, finding, type Obstacle } from "./finding.js";
import type { Found } from "./found.js";
import { unprovedObstacles } from "./leftovers.js";
import { findObstacles } from "./obstacles.js";
import { findOthers, isShared, type Others } from "./others.js";
import { findOverlaps } from "./overlap.js";
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
  const missing = Object.entries({ bridge, shaper }).filter(
    ([, { ifindex }]) => !found.links.has(ifindex),
  );
  if (missing.length > 0 || !link) {
    const findings = missing.map(([what, { name }]) => finding(what, name, undefined, []));
    return { findings, obstacles, isLacking: true };
  }
  const members = [...found.links.values()].filter(({ master }) => master === bridge.ifindex);
  const others = findOthers(kernel, bridge.ifindex, subnet, members);
  return {
    findings: [
      ...compareMac(found, link, others),
      ...compareSettings(found, link, subnet, others),
      ...compare(found, shaperMessages(facts, capacity)),
      ...compareUp(found, link, others),
    ],
    obstacles: [
      ...findObstacles(kernel, link, { subnet, hasNat: job.hasNat, mtu: facts.mtu }, others),
      ...obstacles,
    ],
    isLacking: false,
  };
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
