// What a new process does with what it found: guests of an earlier process become allocations
// again, standby leases keep their addresses, leftovers are deleted in the background.

import { ForknetError } from "./errors.js";
import { publish } from "./events/events.js";
import { Guest } from "./guests/guest.js";
import type { ClassClaim } from "./identity/class-pool.js";
import { formatIpv4, isForGuests } from "./identity/ipv4.js";
import { bootMs } from "./kernel/boot.js";
import { ALIAS_PREFIX, formatAlias, formatSlotAlias } from "./lease/alias.js";
import type { Lease } from "./lease/lease.js";
import {
  guaranteedUpload,
  isLeafRight,
  isSameBucket,
  type KernelLimits,
  toKernelLimits,
} from "./limits.js";
import type { ResolvedOptions } from "./options.js";
import type { Parts } from "./parts.js";
import type { AdoptedGuest, Adoption, Leftover } from "./plans/adopt.js";
import { takeOverClasses } from "./takeover-classes.js";

/** How many of each were found. */
export interface TakenOver {
  guests: number;
  /** Of the guests: those whose alias was another's, and is written anew. */
  renamed: number;
  standby: number;
  leftovers: number;
  /** Standby leases whose address, MAC or name another guest has. */
  rivals: Lease[];
}

/**
 * Refuses a state directory that was used for another subnet or gateway, or with translation where
 * this network has none, before anything is made. Throws
 * CONFLICT.
 */
export function checkStored(stored: readonly Lease[], options: ResolvedOptions): void {
  const { subnet, stateDir, translate } = options;
  const translated = stored.find(({ guest }) => guest);
  if (translated && !translate) {
    const text = `${stateDir} keeps instance ${translated.instanceId}, which is translated: open with translate: true`;
    throw new ForknetError("ERR_FORKNET_CONFLICT", text);
  }
  const stranger = stored.find(({ ip }) => !isForGuests(subnet, ip));
  if (!stranger) return;
  const who = `instance ${stranger.instanceId} with ${formatIpv4(stranger.ip)}`;
  const text = `${stateDir} keeps ${who}, which is no guest's address in this network's subnet`;
  throw new ForknetError("ERR_FORKNET_CONFLICT", text);
}

/** Fills the registry and the pools. Throws CONFLICT when two live guests claim one identity. */
export function takeOver(parts: Parts, adoption: Adoption, stored: readonly Lease[]): TakenOver {
  const classes = takeOverClasses(parts, adoption);
  parts.identities.avoidClasses(adoption.foreignClasses);
  for (const found of adoption.guests)
    adoptLive(parts, found, classes.get(found.lease.classMinor) as ClassClaim);
  const rivals: Lease[] = [];
  let standby = 0;
  // Of two with one address the older is a guest that was released: it was given to the younger.
  for (const lease of [...stored].sort(youngestFirst)) {
    const { instanceId } = lease;
    // Should it stay, the next open finds the same and comes here again.
    if (parts.registry.get(instanceId)) parts.standby.remove(instanceId).catch(() => {});
    else if (adoptStored(parts, lease)) standby++;
    else rivals.push(lease);
  }
  for (const leftover of adoption.leftovers) void reapLeftover(parts, leftover);
  for (const { ip = 0, ...tap } of adoption.unproved) {
    const giveBack = parts.identities.hold(ip, tap.tapName, tap.mac);
    parts.identities.stranded.add({ ...tap, ip, isUnproved: true }, giveBack);
  }
  const { guests, leftovers } = adoption;
  const renamed = guests.filter(isRenamed).length;
  return { guests: guests.length, renamed, standby, leftovers: leftovers.length, rivals };
}

/** Somebody changed its alias: no process of ours died between lease and alias. */
function isRenamed({ lease, inPlace: { alias } }: AdoptedGuest): boolean {
  const { instanceId, ip, mac } = lease;
  const own = [`${ALIAS_PREFIX}${instanceId} `, formatSlotAlias(ip, mac, 0).slice(0, -1)];
  return !own.some((start) => alias.startsWith(start));
}

/** By the boot's clock where it is known; who is of another boot came before them all. */
function youngestFirst(a: Lease, b: Lease): number {
  const [bornA, bornB] = [a.createdBootMs ?? 0, b.createdBootMs ?? 0];
  return bornB - bornA || b.createdMs - a.createdMs;
}

/**
 * A guest with a TAP and a lease in the kernel: active, and shaped unless the limits in place are
 * others.
 */
function adoptLive(parts: Parts, found: AdoptedGuest, claim: ClassClaim): void {
  const { identities, registry, guarantees, groups, options, shaping, allocationFacts } = parts;
  const { lease, tapName, ifindex, owner, inPlace } = found;
  identities.adoptGuest(lease, tapName);
  const guest = new Guest(lease, allocationFacts);
  guest.port = { tapName, class: claim };
  const parent = groups.enter(lease.group);
  if (parent !== claim.parent) {
    guest.moving = identities.claimClass(parent);
    if (!claim.exists) identities.classLost(claim.minor);
  }
  guest.ifindex = ifindex;
  guest.tapOwner = owner;
  guest.state = "active";
  guest.guaranteed = guaranteedUpload(lease.limits, options.baseLimit);
  guarantees.adopt(guest.guaranteed, lease.group);
  registry.add(guest);
  if (isRenamed(found)) tellRenamed(parts, guest, inPlace.alias);
  const wanted = toKernelLimits(lease.limits, options);
  if (!lease.blocked && !guest.moving && isInPlace(wanted, lease, inPlace)) {
    guest.applied = wanted;
    guest.shaping = "shaped";
    guest.shaped.resolve();
    return;
  }
  // The process died between arming and the end of shaping, or somebody changed the limits: they
  // are written anew.
  shaping.start(guest);
}

/** The job that shapes the guest writes its alias, too. */
function tellRenamed({ facts }: Parts, { id: subject, lease, shaped }: Guest, found: string): void {
  const bridge = facts.bridge.name;
  const difference = { what: "alias", expected: formatAlias(lease), found };
  publish("forknet:drift", { bridge, subject, ...difference });
  const tell = () => publish("forknet:repaired", { bridge, subject, ...difference });
  shaped.promise.then(tell, () => {});
}

/** False, with nothing taken, for a lease whose identity another guest has. */
function adoptStored({ identities, registry, allocationFacts }: Parts, lease: Lease): boolean {
  if (registry.hasName(lease.instanceName) || !identities.adoptAddress(lease)) return false;
  // Should its age not be known, it counts from now on, in its next lease, too.
  const { createdBootMs = bootMs() } = lease;
  const guest = new Guest({ ...lease, createdBootMs, classMinor: 0 }, allocationFacts);
  guest.state = "standby";
  registry.add(guest);
  return true;
}

/**
 * The address stays taken until the TAP is gone, so that no fork meets its name or its neighbour
 * entry.
 */
async function reapLeftover(parts: Parts, { tapName, ifindex, ip }: Leftover): Promise<void> {
  const { identities, reaper, registry } = parts;
  const owner = registry.all().find((guest) => guest.ip === ip);
  const giveBack = identities.hold(ip, tapName);
  // The neighbour entry of a live guest is its own TAP's.
  const job = { tapName, ifindex, ...(owner?.state === "active" ? {} : { ip }) };
  const gone = reaper.reapQuietly(job, "leftover").then((isGone) => {
    if (isGone) return giveBack();
    identities.stranded.add({ tapName, ifindex, ip }, giveBack);
  });
  // The process died before a standby was finished: the guest's restore waits, for the bridge takes
  // a MAC on one port only.
  if (owner) owner.turn = gone;
  await gone;
}

/**
 * The alias comes last when limits change, and is where a process without CAP_SYS_ADMIN finds the
 * lease again.
 */
function isInPlace(
  { tbf, htb }: KernelLimits,
  lease: Lease,
  found: AdoptedGuest["inPlace"],
): boolean {
  return (
    found.download === tbf.rate &&
    isSameBucket(found.bucketBytes ?? 0, tbf.burstBytes, tbf.rate) &&
    found.queueBytes === tbf.limitBytes &&
    found.rate === htb.rate &&
    found.ceil === htb.ceil &&
    isLeafRight(found.leaf, htb.leaf, htb.rate) &&
    found.alias === formatAlias(lease)
  );
}
