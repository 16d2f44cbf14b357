// What reconcile does about what an inspection found: every step with its reason and the proof that
// its object is ours. What is not provably ours appears in no step.

import type { Guest } from "../guests/guest.js";
import type { WarmSlot } from "../guests/slot-pool.js";
import type { Parts } from "../parts.js";
import type { Difference, Finding } from "../plans/finding.js";
import type { Inspection } from "./inspection.js";
import type { Criteria, Step } from "./reconcile-action.js";
import { leftoverSteps, lostClassStep } from "./reconcile-leftovers.js";
import { repairGuest, repairNat, repairNetwork } from "./repair.js";

/** How a guest leaves its TAP. */
export interface Endings {
  release: (guest: Guest) => Promise<void>;
  standby: (guest: Guest) => Promise<void>;
}

export function planFor(
  parts: Parts,
  found: Inspection,
  criteria: Criteria,
  endings: Endings,
): Step[] {
  const ended = endingGuests(parts, found, criteria, endings);
  const leaving = new Set(ended.map(({ guest }) => guest));
  const repairs = found.guests.filter(({ was }) => !leaving.has(was.guest));
  return [
    ...found.network.map((one) => networkStep(parts, one)),
    ...natSteps(parts, found),
    ...repairs.map((one) => guestStep(parts, one)),
    ...ended.map(({ step }) => step),
    ...found.slots.map((one) => slotStep(parts, one)),
    ...leftoverSteps(parts, found.strays, criteria),
    ...found.lostClasses.map((minor) => lostClassStep(parts, minor)),
  ];
}

function repairActions(subject: string, findings: readonly Difference[], proof: string) {
  return findings.map(({ what, expected, found }) => ({
    action: "repair" as const,
    subject,
    reason: `${what} is ${found}, not ${expected}`,
    proof,
  }));
}

/** Without a message the device itself is gone, or the operator's bridge has changed. */
function networkStep(parts: Parts, one: Finding): Step {
  const { bridge, shaper } = parts.facts;
  const isRestore = one.repair.length === 0;
  const isBridge = isRestore
    ? one.what !== "shaper"
    : one.repair.some((message) => isAbout(message, bridge.ifindex));
  const { name, ifindex } = isBridge ? bridge : shaper;
  const proof = `ifindex ${ifindex}, made or adopted by this network`;
  return {
    kind: isRestore ? "restore" : "network",
    actions: repairActions(name, [one], proof),
    run: () => repairNetwork(parts, name, one),
  };
}

/** All rules are put in place together. */
function natSteps(parts: Parts, { nat }: Inspection): Step[] {
  if (nat.length === 0) return [];
  const { name } = parts.facts.bridge;
  const proof = "the table and the rules that are changed carry this network's comment";
  const actions = repairActions(name, nat, proof);
  return [{ kind: "network", actions, run: () => repairNat(parts, nat) }];
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
 * is released. One that was on its way to standby, and has its record, is in standby then.
 */
function endingGuests(
  { registry }: Parts,
  { gone }: Inspection,
  { keep, bornBeforeMs }: Criteria,
  { release, standby }: Endings,
): { guest: Guest; step: Step }[] {
  const isGone = new Set(gone.map(({ guest }) => guest));
  return registry.all().flatMap((guest) => {
    if (guest.state === "pending" || guest.releasing) return [];
    const isUnwanted = keep && !keep.has(guest.id) && guest.bornMs <= bornBeforeMs;
    if (!isGone.has(guest) && !isUnwanted) return [];
    const reason = isGone.has(guest)
      ? `its TAP ${guest.view.tap} was deleted from outside`
      : "not in the list of guests to keep";
    const proof = "allocated by this network";
    const about = { subject: guest.id, reason, proof };
    const step: Step =
      guest.isCutOff && !isUnwanted
        ? { kind: "repair", actions: [{ action: "repair", ...about }], run: () => standby(guest) }
        : {
            kind: "release",
            actions: [{ action: "release", ...about }],
            run: () => release(guest),
          };
    return [{ guest, step }];
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
