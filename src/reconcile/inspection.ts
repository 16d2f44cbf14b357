// One look at the kernel, compared with what this process knows: the base of verify and reconcile.
// What changed while the worker looked is left out, so that nothing under way is taken for damage.

import type { NetworkFacts } from "../facts.js";
import type { Guest } from "../guests/guest.js";
import type { WarmSlot } from "../guests/slot-pool.js";
import { ownerOf } from "../identity/tap-owner.js";
import type { Parts } from "../parts.js";
import type { KnownTap } from "../plans/expected.js";
import { type Difference, type Finding, finding, type Warning } from "../plans/finding.js";
import { findStrays, Known, NO_STRAYS, type Strays } from "./strays.js";

/** A guest as it was when the worker began to look. */
export class Snapshot {
  readonly guest: Guest;
  readonly tap: KnownTap;

  constructor(guest: Guest) {
    const { lease, ifindex, port, tapOwner: owner } = guest;
    this.guest = guest;
    const { ip, mac } = lease;
    const { tapName, class: claim } = port as NonNullable<Guest["port"]>;
    this.tap = { ifindex, tapName, class: claim, ip, mac, owner, lease };
  }

  /** Every change of a guest puts a new lease in place of the old. */
  get isCurrent(): boolean {
    const { guest, tap } = this;
    return isSteady(guest) && guest.lease === tap.lease && guest.ifindex === tap.ifindex;
  }
}

export interface Inspection {
  /** Guests that were compared. */
  compared: number;
  /** About bridge, shaper and the classes of groups. */
  network: Finding[];
  guests: { was: Snapshot; findings: Finding[] }[];
  /** About NAT and firewall. Empty unless all was compared. */
  nat: Difference[];
  /** Guests whose TAP is not there. */
  gone: Snapshot[];
  slots: { slot: WarmSlot; findings: Finding[] }[];
  strays: Strays;
  lostClasses: number[];
  warnings: (Warning & { subject: string })[];
  directPackets: number;
}

/**
 * Compares every guest that nothing is under way for, or one of them. `withOverlaps`: looks for what
 * others took of the subnet, too. Rejects with KERNEL.
 */
export async function inspect(
  parts: Parts,
  only?: Guest,
  withOverlaps = false,
): Promise<Inspection> {
  const { registry, pool, identities, groups, options, lanes, metrics } = parts;
  let guests = new Map<number, Snapshot>();
  let slots = new Map<number, WarmSlot>();
  const known = new Known(parts);
  const stranded = only ? [] : identities.stranded.all();
  // It takes processes: what the survey finds must not grow old meanwhile.
  const nat = only ? [] : await parts.nat.compare();
  const found = await lanes.survey((facts) => {
    // A refused look is repeated: what was a warm slot then may be a guest's TAP now.
    guests = new Map();
    slots = new Map();
    for (const guest of only ? [only] : registry.all())
      if (isSteady(guest)) guests.set(guest.ifindex, new Snapshot(guest));
    for (const slot of only ? [] : pool.slots()) slots.set(slot.ifindex, slot);
    known.look();
    const taps = [
      ...[...guests.values()].map(({ tap }) => tap),
      ...[...slots.values()].map((slot) => tapOf(slot, facts)),
    ];
    return {
      facts,
      subnet: options.subnet,
      capacity: options.uploadCapacity,
      defaults: {
        uploadBurstMultiplier: options.uploadBurstMultiplier,
        downloadBurstMultiplier: options.downloadBurstMultiplier,
        downloadLatencyMs: options.downloadLatencyMs,
        uploadLatencyMs: options.uploadLatencyMs,
        baseLimit: options.baseLimit,
        mtu: options.mtu,
      },
      taps,
      groups: only ? [] : groups.classes(),
      freeClasses: only ? [] : identities.freeClasses,
      stranded: stranded.map(({ remains }) => remains),
      withOverlaps,
      hasNat: options.nat !== undefined,
      isMtuAsked: options.isMtuAsked,
    };
  });
  metrics.sentUnclassified(found.directPackets);
  const current = (ifindex: number) => {
    const was = guests.get(ifindex);
    return was?.isCurrent ? was : undefined;
  };
  const differing = new Map(found.taps.map(({ ifindex, findings }) => [ifindex, findings]));
  return {
    compared: guests.size,
    network: [
      ...found.network,
      ...found.groups.flatMap(({ group, findings }) => (groups.isCurrent(group) ? findings : [])),
    ],
    nat,
    guests: [...guests.keys()].flatMap((ifindex) => {
      const was = current(ifindex);
      const findings = [...(differing.get(ifindex) ?? []), ...(was ? shapingOf(was.guest) : [])];
      return was && findings.length > 0 ? [{ was, findings }] : [];
    }),
    gone: found.gone.flatMap((ifindex) => current(ifindex) ?? []),
    slots: found.taps.flatMap(({ ifindex, findings }) => {
      const slot = slots.get(ifindex);
      return slot && pool.has(slot) ? [{ slot, findings }] : [];
    }),
    strays: only ? NO_STRAYS : await findStrays(parts, found.leftovers, known, stranded),
    lostClasses: found.lostClasses,
    warnings: [
      ...[...found.warnings, ...(withOverlaps ? parts.nat.warnings() : [])].map((warning) => ({
        subject: parts.facts.bridge.name,
        ...warning,
      })),
      ...found.silent.flatMap(({ ifindex, state }) => silentGuest(current(ifindex), state)),
    ],
    directPackets: found.directPackets,
  };
}

function silentGuest(was: Snapshot | undefined, state: string) {
  if (!was) return [];
  const { guest, tap } = was;
  const text = `the port ${tap.tapName} is ${state}: nothing passes until STP lets it forward`;
  return [{ subject: guest.id, what: "port-state", text }];
}

/** Nothing is under way that the kernel may be half through with. */
export function isSteady(guest: Guest): boolean {
  const { state, shaping, releasing, creation, port, isCutOff } = guest;
  const isShaped = shaping === "shaped" || shaping === "failed";
  const isThere = state === "active" || isCutOff;
  return isThere && isShaped && !releasing && !creation && port !== undefined;
}

/** What the kernel refused once is tried again. */
function shapingOf({ shaping }: Guest): Finding[] {
  return shaping === "failed" ? [finding("shaping", "shaped", shaping, [])] : [];
}

function tapOf({ ifindex, port, address }: WarmSlot, { tap }: NetworkFacts): KnownTap {
  const { tapName, class: claim } = port;
  return { ifindex, tapName, class: claim, owner: ownerOf(tap), ...address };
}
