// What an earlier process left on the bridge: which TAPs are live guests, what their leases say,
// which are leftovers. Guests are brought to this process's programs and settings in place; stale
// map entries go.

import type { NetworkFacts } from "../facts.js";
import { FIRST_GUEST_MINOR } from "../identity/class-pool.js";
import type { Subnet } from "../identity/ipv4.js";
import type { TapOwner } from "../identity/tap-owner.js";
import type { ClassInfo, LinkInfo, QdiscInfo } from "../kernel/binding.js";
import { ENODEV, type Kernel, Refused } from "../kernel/kernel.js";
import type { Ipv4, Message } from "../kernel/messages.js";
import { addressInAlias, classInAlias } from "../lease/alias.js";
import { keyOf, type Lease } from "../lease/lease.js";
import type { FoundLeaf } from "../limits.js";
import { ownerWhenMade, readLeases, rebuildLeases } from "./adopt-leases.js";
import { isCondemned } from "./condemned.js";
import { forwardMessages, silenceOf } from "./forwarding.js";
import { foreignClasses } from "./ownership.js";
import { hostMac, isPortSet, joinBridge, portSettings } from "./port.js";
import { gateFilter, guardFilter } from "./slot.js";
import { findUnproved, type UnprovedTap } from "./unproved.js";

/**
 * A live guest as found. `inPlace` is what the kernel enforces now, in bytes and bytes per second;
 * absent parts are missing.
 */
export interface AdoptedGuest {
  tapName: string;
  ifindex: number;
  lease: Lease;
  /** Who should be able to open its TAP. */
  owner: TapOwner;
  inPlace: {
    download?: number;
    bucketBytes?: number;
    queueBytes?: number;
    rate?: number;
    ceil?: number;
    leaf?: FoundLeaf;
    alias: string;
  };
}

/** A TAP of ours that no lease covers: it is deleted in the background. */
export interface Leftover {
  tapName: string;
  ifindex: number;
  ip: Ipv4;
}

export interface Adoption {
  guests: AdoptedGuest[];
  leftovers: Leftover[];
  unproved: UnprovedTap[];
  /** An earlier process was here. */
  isAdopted: boolean;
  /** Guests' and groups' classes found on the shaper; rates in bytes per second. */
  classes: { minor: number; parent: number; leaf: number; rate: number; ceil: number }[];
  /** Minors of classes there that nothing proves to be ours. */
  foreignClasses: number[];
}

/** Sorts the TAPs. `mapAdopted` false: the map is new, and is filled from the aliases. */
export function adopt(
  kernel: Kernel,
  facts: NetworkFacts,
  subnet: Subnet,
  taps: readonly LinkInfo[],
  mapAdopted: boolean,
): Adoption {
  const { leases, doubtful } = mapAdopted
    ? readLeases(kernel, facts, taps)
    : rebuildLeases(kernel, facts, subnet, taps);
  const classes = kernel.classes(facts.shaper.ifindex);
  const qdiscs = kernel.qdiscs();
  const tbfs = new Map(qdiscs.flatMap(({ ifindex, tbf }) => (tbf ? [[ifindex, tbf]] : [])));
  const leaves = new Map(
    qdiscs.flatMap(({ ifindex, handle, bfifo, tbf }) => {
      const leaf: FoundLeaf | undefined = tbf ?? bfifo;
      return leaf && ifindex === facts.shaper.ifindex ? [[handle, leaf] as const] : [];
    }),
  );
  const byMinor = new Map(classes.map((one) => [one.handle & 0xffff, one]));
  const isAdopted = mapAdopted || taps.length > 0;
  const bridge = kernel.link({ ifindex: facts.bridge.ifindex });
  const adoption: Adoption = {
    guests: [],
    leftovers: [],
    unproved: findUnproved(kernel, facts, subnet, taps, doubtful),
    isAdopted,
    classes: [],
    foreignClasses: [],
  };
  for (const tap of taps) {
    const { ifindex, name: tapName, alias, group } = tap;
    const lease = leases.get(ifindex);
    if (doubtful.has(ifindex)) continue;
    const isLeaving = isCondemned(group, facts.bridge.ifindex);
    if (!lease || isLeaving || !bringToBridge(kernel, facts, bridge, tap, lease)) {
      const ip = lease?.ip ?? addressInAlias(alias) ?? 0;
      adoption.leftovers.push({ tapName, ifindex, ip });
      if (lease) kernel.bpf.mapDelete(facts.maps.leases, keyOf(ifindex));
      continue;
    }
    const own = byMinor.get(lease.classMinor);
    const inPlace = { ...enforced(tbfs.get(ifindex), own, leaves.get(own?.leaf ?? 0)), alias };
    const owner = lease.owner ?? ownerWhenMade(facts, tap);
    adoption.guests.push({ tapName, ifindex, lease, owner, inPlace });
  }
  checkTranslation(facts, adoption.guests);
  attachPrograms(kernel, facts, adoption.guests);
  const named = [
    ...[...leases.values()].map(({ classMinor }) => classMinor),
    ...taps.map(({ alias }) => classInAlias(alias) ?? 0),
  ];
  adoption.foreignClasses = foreignClasses(classes, new Set(named));
  for (const { handle, parent, leaf, rate, ceil } of classes) {
    const minor = handle & 0xffff;
    const isOurs = minor >= FIRST_GUEST_MINOR && !adoption.foreignClasses.includes(minor);
    if (isOurs) adoption.classes.push({ minor, parent: parent & 0xffff, leaf, rate, ceil });
  }
  return adoption;
}

/**
 * Gives a guest's port what it should have: a bridge that was deleted and made again lost all its
 * ports, somebody may have put one on another, and options may have changed. False when the TAP is
 * gone.
 */
function bringToBridge(
  kernel: Kernel,
  facts: NetworkFacts,
  bridge: LinkInfo | undefined,
  tap: LinkInfo,
  lease: Lease,
): boolean {
  const { ifindex, name, master, port, up, mtu } = tap;
  const messages: Message[] = [];
  // A release before this one left the kernel's choice.
  const { mac = tap.mac } = hostMac(facts, ifindex);
  if (mac !== tap.mac) messages.push({ op: "link.set", ifindex, mac });
  if (master !== facts.bridge.ifindex) messages.push(...joinBridge(facts, ifindex, lease));
  else if (!isPortSet(facts, port))
    messages.push({ op: "port.set", ifindex, ...portSettings(facts) });
  // STP was switched off while this port listened or learned.
  if (bridge && silenceOf(tap, bridge)) messages.push(...forwardMessages(tap, bridge));
  if (!up || mtu !== facts.mtu)
    messages.push({ op: "link.set", ifindex, up: true, mtu: facts.mtu });
  const failure = kernel.talk(messages, name).find((result) => result !== null);
  // Anything but a TAP that has gone meanwhile: better no network than one that deletes a guest's
  // TAP.
  if (failure && failure.errno !== ENODEV) throw new Refused(failure);
  return !failure;
}

/** Other programs would cut these guests off. Before anything of theirs is changed. */
function checkTranslation(facts: NetworkFacts, guests: readonly AdoptedGuest[]): void {
  const translated = guests.find(({ lease }) => lease.guest);
  if (facts.translate || !translated) return;
  throw new Refused({
    operation: "open",
    device: facts.bridge.name,
    errno: 0,
    code: "ERR_FORKNET_CONFLICT",
    leftBehind: [],
    text: `instance ${translated.lease.instanceId} is translated, which needs translate: true`,
  });
}

/**
 * Replaces guard and gate in place, atomically for the traffic; clsact is there already unless
 * somebody removed it.
 */
function attachPrograms(
  kernel: Kernel,
  facts: NetworkFacts,
  guests: readonly AdoptedGuest[],
): void {
  for (const { ifindex, tapName } of guests) {
    kernel.talk([{ op: "qdisc.clsact", verb: "add", ifindex }], tapName);
    const filters = [guardFilter(facts, ifindex, "replace"), gateFilter(facts, ifindex, "replace")];
    const failure = kernel.talk(filters, tapName).find((result) => result !== null);
    // A guest without its guard would pass whatever it likes. One that was deleted meanwhile passes
    // nothing.
    if (failure && failure.errno !== ENODEV) throw new Refused(failure);
  }
}

function enforced(
  tbf: QdiscInfo["tbf"],
  one: ClassInfo | undefined,
  leaf: FoundLeaf | undefined,
): Omit<AdoptedGuest["inPlace"], "alias"> {
  return {
    ...(tbf ? { download: tbf.rate, bucketBytes: tbf.burstBytes, queueBytes: tbf.limitBytes } : {}),
    ...(one ? { rate: one.rate, ceil: one.ceil } : {}),
    ...(leaf ? { leaf } : {}),
  };
}
