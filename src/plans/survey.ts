// Compares what the network knows with what is in the kernel, in one pass of dumps: what differs at
// its TAPs and its shaper, and what is there that it does not know. Read-only. Runs in the reap
// lane, so that no deletion runs meanwhile and no fork waits.

import { isDeepStrictEqual } from "node:util";
import type { BitsPerSecond } from "../bandwidth.js";
import type { NetworkFacts } from "../facts.js";
import type { Subnet } from "../identity/ipv4.js";
import type { Remains } from "../identity/stranded.js";
import { formatOwner, ownerOf, sameOwner } from "../identity/tap-owner.js";
import type { LinkInfo } from "../kernel/binding.js";
import type { Kernel } from "../kernel/kernel.js";
import { decodeLease, encodeLease, type Lease } from "../lease/lease.js";
import type { ShapingDefaults } from "../limits.js";
import { compare } from "./compare.js";
import { compareNetwork } from "./compare-network.js";
import { type KnownTap, tapMessages } from "./expected.js";
import { type Finding, finding, type Warning, warningOf } from "./finding.js";
import { silenceOf } from "./forwarding.js";
import { Found } from "./found.js";
import { OPENED, wasOpened } from "./give.js";
import { type GroupClass, groupMessage } from "./group.js";
import { type Leftovers, leftovers } from "./leftovers.js";

/** What the network knows. Plain data. */
export interface SurveyJob {
  facts: NetworkFacts;
  subnet: Subnet;
  capacity: BitsPerSecond;
  defaults: ShapingDefaults;
  taps: readonly KnownTap[];
  groups: readonly GroupClass[];
  /** Classes that are there for the next guests to use. */
  freeClasses: readonly number[];
  /** What failed undos may have left. */
  stranded: readonly Remains[];
  /** Look for what others took of the subnet, too: hosts may have very many routes. */
  withOverlaps: boolean;
  /** The network has rules in the firewall. */
  hasNat: boolean;
  /** The option `mtu` was given. */
  isMtuAsked: boolean;
}

export interface Survey {
  /** About bridge and shaper. With one of them gone nothing else is looked at. */
  network: Finding[];
  /** Of `groups`: those whose class differs. */
  groups: { group: GroupClass; findings: Finding[] }[];
  /** Only of TAPs that differ. */
  taps: { ifindex: number; findings: Finding[] }[];
  /** Of `taps`, by ifindex: those that are not there. */
  gone: number[];
  leftovers: Leftovers;
  /** Of `freeClasses`: those that are not there. */
  lostClasses: number[];
  /** What others have in the network's way. */
  warnings: Warning[];
  /** Of `taps`: those with a VMM whose port lets nothing pass, for STP to decide. */
  silent: { ifindex: number; state: string }[];
  /** Packets that the shaper sent without a class since it was made. */
  directPackets: number;
}

const ROOT = 0xffff_ffff;

export function survey(kernel: Kernel, job: SurveyJob): Survey {
  const found = new Found(kernel, job.facts, job.subnet);
  const { findings: network, obstacles, isLacking } = compareNetwork(kernel, found, job);
  const result: Survey = {
    network,
    groups: [],
    taps: [],
    gone: [],
    leftovers: leftovers(found, job),
    lostClasses: [],
    warnings: obstacles.map(warningOf),
    silent: [],
    directPackets: found.qdisc(job.facts.shaper.ifindex, ROOT)?.htb?.directPackets ?? 0,
  };
  if (isLacking) return result;
  const minors = new Set([...found.classes.keys()].map((handle) => handle & 0xffff));
  result.lostClasses = job.freeClasses.filter((minor) => !minors.has(minor));
  // Before the guests, whose classes stand under theirs.
  for (const group of job.groups) {
    const findings = compare(found, [groupMessage(job.facts, group)]);
    const what = `group ${group.name}`;
    if (findings.length > 0)
      result.groups.push({ group, findings: findings.map((one) => ({ ...one, what })) });
  }
  for (const tap of job.taps) {
    const link = found.links.get(tap.ifindex);
    if (!link?.tun) result.gone.push(tap.ifindex);
    else {
      const messages = tapMessages(job.facts, tap, job.defaults);
      const findings = [
        ...compare(found, messages),
        ...compareLease(found, tap),
        ...compareOwner(link, tap),
      ];
      if (findings.length > 0) result.taps.push({ ifindex: tap.ifindex, findings });
      const state = silencedState(found, tap);
      if (state) result.silent.push({ ifindex: tap.ifindex, state });
    }
  }
  return result;
}

/** Without STP such a port is a difference, which compare() has told. */
function silencedState({ links, facts }: Found, { ifindex }: KnownTap): string | undefined {
  const [link, bridge] = [links.get(ifindex), links.get(facts.bridge.ifindex)];
  return link && bridge?.bridge?.stpState ? silenceOf(link, bridge) : undefined;
}

/** Whose the TAP is, and that nobody has opened a warm slot. */
function compareOwner(link: LinkInfo, { owner, lease }: KnownTap): Finding[] {
  const actual = ownerOf(link.tun ?? {});
  return [
    // The kernel changes the owner of a TAP for who has it open, not for a message.
    ...(sameOwner(owner, actual)
      ? []
      : [finding("owner", formatOwner(owner), formatOwner(actual), [])]),
    ...(lease || !wasOpened(link) ? [] : [{ ...OPENED, repair: [] }]),
  ];
}

/** The map must say of a guest what the network does, and nothing of a slot. */
function compareLease({ leases }: Found, { ifindex, lease }: KnownTap): Finding[] {
  const entry = leases.get(ifindex);
  if (!lease) return entry ? [finding("lease", "none", "one", [])] : [];
  if (entry?.equals(encodeLease(lease))) return [];
  const held = entry && decodeLease(entry);
  if (!held) return [finding("lease", lease.instanceId, entry && "another version", [])];
  const keys = (Object.keys(lease) as (keyof Lease)[]).filter(
    (key) => !isDeepStrictEqual(lease[key], held[key]),
  );
  const text = (of: Lease) => keys.map((key) => `${key} ${JSON.stringify(of[key])}`).join(", ");
  return [finding("lease", text(lease), text(held), [])];
}
