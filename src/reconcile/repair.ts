// Puts right what an inspection found at a live guest or at the network itself. A guest's repair
// takes its turn among the guest's other operations, and is dropped when one of them changed it.

import type { ForknetError } from "../errors.js";
import { publish } from "../events/events.js";
import type { Guest } from "../guests/guest.js";
import { bringBack, forgetRecord, inTurn } from "../guests/removal.js";
import { toKernelLimits } from "../limits.js";
import type { Parts } from "../parts.js";
import type { KnownTap } from "../plans/expected.js";
import type { Difference, Finding } from "../plans/finding.js";
import type { Snapshot } from "./inspection.js";

/** Resolves when it is as it should be, or has changed meanwhile. Rejects with the first refusal. */
export function repairGuest(
  parts: Parts,
  was: Snapshot,
  findings: readonly Finding[],
): Promise<void> {
  const { guest, tap } = was;
  return inTurn(guest, async () => {
    if (!was.isCurrent) return;
    await told(parts, guest.id, findings, async () => {
      if (guest.moving) await moveOn(parts, was, findings);
      else {
        await send(parts, tap.tapName, findings);
        // A release that came meanwhile has disarmed it: it must stay so.
        if (was.isCurrent) await settle(parts, was, findings);
      }
      // Last: a VMM that has the TAP open refuses it, and only it.
      if (findings.some(({ what }) => what === "owner")) await giveBack(parts, tap);
    });
  });
}

/**
 * Its class is not the one it belongs in, so that its own limits must not be given to that: the job
 * that failed is tried again.
 */
async function moveOn(parts: Parts, was: Snapshot, findings: readonly Finding[]): Promise<void> {
  const { guest, tap } = was;
  const isOfClass = ({ what }: Finding) => what === "class" || what === "leaf";
  await send(
    parts,
    tap.tapName,
    findings.filter((one) => !isOfClass(one)),
  );
  // The job's end arms the guest: not one that was released meanwhile.
  if (!was.isCurrent) return;
  if (guest.isCutOff) await reviveCutOff(parts, guest);
  await parts.shaping.schedule(guest);
}

/** Its standby had failed half way. */
async function reviveCutOff(parts: Parts, guest: Guest): Promise<void> {
  bringBack(parts, guest);
  await forgetRecord(parts, guest);
}

/** One finding about bridge or shaper. A device that is gone is made anew, without its guests. */
export function repairNetwork(parts: Parts, device: string, one: Finding): Promise<void> {
  const { lanes, options } = parts;
  return told(parts, device, [one], () =>
    one.repair.length > 0 ? send(parts, device, [one]) : lanes.restore(options),
  );
}

/** All of NAT and firewall. */
export function repairNat(parts: Parts, differences: readonly Difference[]): Promise<void> {
  return told(parts, parts.facts.bridge.name, differences, () => parts.nat.repair());
}

/** Its firewall alone. */
export function repairFirewall(parts: Parts, differences: readonly Difference[]): Promise<void> {
  return told(parts, parts.facts.bridge.name, differences, () => parts.nat.repairFirewall());
}

async function send(parts: Parts, device: string, findings: readonly Finding[]): Promise<void> {
  const messages = findings.flatMap(({ repair }) => repair);
  if (messages.length > 0) await parts.lanes.mend.submit({ device, messages }).done;
}

async function giveBack({ lanes }: Parts, tap: KnownTap): Promise<void> {
  const { tapName: device, ifindex, owner: to } = tap;
  await lanes.mend.submit({ device, messages: [], give: { ifindex, to } }).done;
}

/** The limits hold now, whatever was known of them; the lease comes last, behind the guard. */
async function settle(
  parts: Parts,
  { guest }: Snapshot,
  findings: readonly Finding[],
): Promise<void> {
  guest.applied = toKernelLimits(guest.lease.limits, parts.options);
  const isLate = guest.shaping === "failed";
  const lease = isLate ? { ...guest.lease, blocked: false } : guest.lease;
  if (isLate || findings.some(({ what }) => what === "lease"))
    parts.leases.arm(guest.ifindex, lease);
  guest.lease = lease;
  guest.shaping = "shaped";
  if (guest.isCutOff) await reviveCutOff(parts, guest);
}

/** Says on the diagnostics channels how it went. */
async function told(
  { facts }: Parts,
  subject: string,
  findings: readonly Difference[],
  run: () => Promise<void>,
): Promise<void> {
  const bridge = facts.bridge.name;
  try {
    await run();
  } catch (error) {
    publish("forknet:repair-failed", { bridge, subject, error: error as ForknetError });
    throw error;
  }
  for (const { what, expected, found } of findings)
    publish("forknet:repaired", { bridge, subject, what, expected, found });
}
