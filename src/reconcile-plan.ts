// What reconcile does about what an inspection found: every step with its reason and the proof that
// its object is ours. What is not provably ours appears in no step.

import type { ForknetError } from "./errors.js";
import type { Guest } from "./guest.js";
import type { Inspection } from "./inspection.js";
import type { Parts } from "./parts.js";
import type { Finding } from "./plans/finding.js";
import type { UnknownTap } from "./plans/survey.js";
import { repairGuest, repairNetwork } from "./repair.js";
import type { WarmSlot } from "./slot-pool.js";

/** One line of a plan: what is done, to what, why, and how we know that it is ours. */
export interface ReconcileAction {
  /** "forget_class" changes this process's books only. */
  action: "repair" | "release" | "delete_tap" | "delete_lease" | "forget_class";
  /** Instance id, TAP, bridge or shaper name, class, or ifindex. */
  subject: string;
  reason: string;
  proof: string;
  /** Why it could not be done. */
  error?: ForknetError;
}

/** Actions that are done or left together. */
export interface Step {
  kind: "network" | "repair" | "release" | "deletion";
  actions: ReconcileAction[];
  run: () => Promise<unknown>;
}

/** Who stays. */
export interface Criteria {
  keep: ReadonlySet<string> | undefined;
  /** Milliseconds since the epoch: what came later is too young to go. */
  bornBeforeMs: number;
  /** When a leftover was first seen, by ifindex. */
  seenMs: ReadonlyMap<number, number>;
}

export function planFor(
  parts: Parts,
  found: Inspection,
  criteria: Criteria,
  release: (guest: Guest) => Promise<void>,
): Step[] {
  const endings = endingGuests(parts, found, criteria, release);
  const leaving = new Set(endings.map(({ guest }) => guest));
  const repairs = found.guests.filter(({ was }) => !leaving.has(was.guest));
  return [
    ...found.network.map((one) => networkStep(parts, one)),
    ...repairs.map((one) => guestStep(parts, one)),
    ...endings.map(({ step }) => step),
    ...found.slots.map((one) => slotStep(parts, one)),
    ...found.strays.filter((tap) => mayGo(tap, criteria)).map((tap) => strayStep(parts, tap)),
    ...found.staleLeases.map((ifindex) => leaseStep(parts, ifindex)),
    ...found.lostClasses.map((minor) => classStep(parts, minor)),
  ];
}

function repairActions(subject: string, findings: readonly Finding[], proof: string) {
  return findings.map(({ what, expected, found }) => ({
    action: "repair" as const,
    subject,
    reason: `${what} is ${found}, not ${expected}`,
    proof,
  }));
}

function networkStep(parts: Parts, one: Finding): Step {
  const { bridge, shaper } = parts.facts;
  const isBridge = one.repair.some((message) => isAbout(message, bridge.ifindex));
  const { name, ifindex } = isBridge ? bridge : shaper;
  const proof = `ifindex ${ifindex}, made or adopted when the network was opened`;
  return {
    kind: "network",
    actions: repairActions(name, [one], proof),
    run: () => repairNetwork(parts, name, one),
  };
}

function isAbout(message: object, ifindex: number): boolean {
  return "ifindex" in message && message.ifindex === ifindex;
}

function guestStep(parts: Parts, one: Inspection["guests"][number]): Step {
  const { guest, tap } = one.was;
  const proof = `TAP ${tap.tapName} (ifindex ${tap.ifindex}) was allocated by this network`;
  return {
    kind: "repair",
    actions: repairActions(guest.id, one.findings, proof),
    run: () => repairGuest(parts, one.was, one.findings),
  };
}

/**
 * Guests the caller does not want kept, and those whose TAP somebody deleted: a lease without a TAP
 * is released.
 */
function endingGuests(
  { registry }: Parts,
  { gone }: Inspection,
  { keep, bornBeforeMs }: Criteria,
  release: (guest: Guest) => Promise<void>,
): { guest: Guest; step: Step }[] {
  const isGone = new Set(gone.map(({ guest }) => guest));
  return registry.all().flatMap((guest) => {
    if (guest.state === "pending" || guest.releasing) return [];
    const isUnwanted = keep && !keep.has(guest.id) && guest.lease.createdMs <= bornBeforeMs;
    if (!isGone.has(guest) && !isUnwanted) return [];
    const reason = isGone.has(guest)
      ? `its TAP ${guest.view.tap} was deleted from outside`
      : "not in the list of guests to keep";
    const proof = "allocated by this network";
    const action = { action: "release" as const, subject: guest.id, reason, proof };
    return [{ guest, step: { kind: "release", actions: [action], run: () => release(guest) } }];
  });
}

/** A warm slot is not worth a repair that a fork could get in the way of. */
function slotStep(parts: Parts, { slot, findings }: { slot: WarmSlot; findings: Finding[] }): Step {
  const { tapName, class: claim } = slot.port;
  const reasons = findings.map(
    ({ what, found, expected }) => `${what} is ${found}, not ${expected}`,
  );
  return {
    kind: "deletion",
    actions: [
      {
        action: "delete_tap",
        subject: tapName,
        reason: `unfit warm slot: ${reasons.join("; ")}`,
        proof: `ifindex ${slot.ifindex} was made by this network`,
      },
    ],
    run: async () => {
      if (!parts.pool.has(slot)) return;
      if (findings.some(({ what }) => what === "class")) parts.identities.classLost(claim.minor);
      parts.leases.disarm(slot.ifindex);
      await parts.pool.discard(slot);
    },
  };
}

/** A leftover with a lease is somebody's guest: it goes only when a list does not have it. */
function mayGo({ ifindex, lease }: UnknownTap, criteria: Criteria): boolean {
  const bornMs = lease?.createdMs ?? criteria.seenMs.get(ifindex) ?? 0;
  if (bornMs > criteria.bornBeforeMs) return false;
  return !lease || (criteria.keep !== undefined && !criteria.keep.has(lease.instanceId));
}

/** TAPs with our alias that neither a guest nor the pool has. */
function strayStep(parts: Parts, tap: UnknownTap): Step {
  const { tapName, ifindex, ip, alias, lease } = tap;
  const reason = lease
    ? `its lease is of ${lease.instanceId}, which is not in the list of guests to keep`
    : "no guest and no warm slot has it";
  return {
    kind: "deletion",
    actions: [{ action: "delete_tap", subject: tapName, reason, proof: `alias "${alias}"` }],
    run: async () => {
      parts.leases.disarm(ifindex);
      // Its guest may be back with another TAP, or be coming back: then the neighbour entry is
      // that one's.
      const isInUse = parts.pool.holds(ip) || parts.registry.all().some((one) => one.ip === ip);
      const giveBack = parts.identities.hold(ip, tapName);
      await parts.reaper
        .reap({ tapName, ifindex, ...(isInUse ? {} : { ip }) }, "leftover")
        .finally(giveBack);
    },
  };
}

/** Entries of our map whose TAP is gone. */
function leaseStep(parts: Parts, ifindex: number): Step {
  return {
    kind: "deletion",
    actions: [
      {
        action: "delete_lease",
        subject: `ifindex ${ifindex}`,
        reason: "its TAP is gone",
        proof: "entry of this network's lease map",
      },
    ],
    run: async () => {
      if (parts.leases.disarm(ifindex)) parts.metrics.reaped("lease", "leftover");
    },
  };
}

function classStep(parts: Parts, minor: number): Step {
  return {
    kind: "deletion",
    actions: [
      {
        action: "forget_class",
        subject: `1:${minor.toString(16)}`,
        reason: "a free class that was deleted from outside: the next guest has to add it",
        proof: "on this network's list of free classes",
      },
    ],
    run: async () => parts.identities.classLost(minor),
  };
}
