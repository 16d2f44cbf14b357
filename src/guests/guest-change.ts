// updateGuest: another identity in the guest's memory. The map is what the programs read; the alias
// follows, for a process that may not open the map.

import { type ForknetError, rollbackError } from "../errors.js";
import type { InnerIdentity } from "../identity/guest-identity.js";
import { formatAlias } from "../lease/alias.js";
import type { Lease } from "../lease/lease.js";
import type { Parts } from "../parts.js";
import type { Guest } from "./guest.js";

/** Of a live guest, in its turn. On failure the former identity holds. */
export async function changeGuest(
  parts: Parts,
  guest: Guest,
  inner: InnerIdentity | undefined,
): Promise<void> {
  const { guest: former } = guest.lease;
  write(parts, guest, inner);
  try {
    await writeAlias(parts, guest);
  } catch (error) {
    // A release that came meanwhile has disarmed it: it must stay so.
    if (guest.state !== "active") throw error;
    throw await takeBack(parts, guest, former, error as ForknetError);
  }
}

/** Resolves with the error to throw: `error`, or ROLLBACK when something could not be undone. */
async function takeBack(
  parts: Parts,
  guest: Guest,
  former: InnerIdentity | undefined,
  error: ForknetError,
): Promise<ForknetError> {
  const { tap } = guest.view;
  try {
    write(parts, guest, former);
  } catch {
    return rollbackError(error, `guest identity of ${tap}`);
  }
  try {
    // The answer alone may be lost, and limits that were on their way bring an alias along.
    await writeAlias(parts, guest);
  } catch (refused) {
    const isGone = (refused as ForknetError).errnoName === "ENODEV" || guest.state !== "active";
    return isGone ? error : rollbackError(error, `alias of ${tap}`);
  }
  return error;
}

function write({ leases }: Parts, guest: Guest, inner: InnerIdentity | undefined): void {
  const { guest: _, ...others } = guest.lease;
  const lease: Lease = inner ? { ...others, guest: inner } : others;
  leases.arm(guest.ifindex, lease);
  guest.lease = lease;
}

async function writeAlias({ shaping, lanes }: Parts, guest: Guest): Promise<void> {
  // A job in the worker's hands writes the alias it was given; later ones are made of this lease.
  await shaping.settled(guest);
  const { ifindex, lease } = guest;
  const messages = [{ op: "link.set" as const, ifindex, alias: formatAlias(lease) }];
  await lanes.mend.submit({ device: guest.view.tap, messages }).done;
}
