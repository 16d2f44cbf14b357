// updateGuest: another identity in the guest's memory. The map is what the programs read; the alias
// follows, for a process that may not open the map.

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
    // A job in the worker's hands writes the alias it was given; later ones are made of this lease.
    await parts.shaping.settled(guest);
    const { ifindex, lease } = guest;
    const device = guest.view.tap;
    const messages = [{ op: "link.set" as const, ifindex, alias: formatAlias(lease) }];
    await parts.lanes.mend.submit({ device, messages }).done;
  } catch (error) {
    // A release that came meanwhile has disarmed it: it must stay so.
    if (guest.state === "active") write(parts, guest, former);
    throw error;
  }
}

function write({ leases }: Parts, guest: Guest, inner: InnerIdentity | undefined): void {
  const { guest: _, ...others } = guest.lease;
  const lease: Lease = inner ? { ...others, guest: inner } : others;
  leases.arm(guest.ifindex, lease);
  guest.lease = lease;
}
