// How a TAP changes hands: given to another uid or gid while nobody has it open, and the proof that
// nobody has.

import { canBecome, formatOwner, ownerOf, type TapOwner, toTunIds } from "../identity/tap-owner.js";
import type { LinkInfo } from "../kernel/binding.js";
import { EBUSY, ENODEV, failureOf, type Kernel, Refused } from "../kernel/kernel.js";
import type { Difference } from "./finding.js";

/**
 * A process has, or had, this TAP open since it was made: a warm slot has had no carrier. Whoever opens
 * a TAP of one queue without one (IFF_NO_CARRIER) is not seen, and gets no frames, until the
 * carrier comes.
 */
export function wasOpened({ carrierUps, tun }: LinkInfo): boolean {
  return carrierUps > 0 || (tun?.queues ?? 0) > 0;
}

/** What verify says of such a slot. */
export const OPENED: Difference = { what: "opened", expected: "by nobody", found: "by a process" };

/**
 * Gives a persistent TAP to another owner. Throws Refused: CONFLICT when a process has the TAP open
 * or the kernel cannot take an id away; then, as after any failure, it may belong to either owner.
 */
export function giveTap(kernel: Kernel, ifindex: number, tapName: string, to: TapOwner): void {
  const { name, tun } = mustBeThere(kernel, ifindex, tapName);
  if (!canBecome(ownerOf(tun), to)) throw stays(tapName, ownerOf(tun), to);
  const { vnetHdr, multiQueue } = tun;
  if (tun.queues) throw isHeld(tapName);
  const opened = open(() => kernel.openTap({ name, vnetHdr, multiQueue }), tapName);
  try {
    // Renamed meanwhile: the name is another TAP's, or was nobody's and a new one has it.
    if (opened.ifindex !== ifindex) throw isGone(tapName);
    const { owner, group } = toTunIds(to);
    // The group first: until the owner follows, a process has to be of both.
    if (group !== undefined) kernel.setTapGroup(opened.fd, group);
    if (owner !== undefined) kernel.setTapOwner(opened.fd, owner);
    if (multiQueue && !isAlone(kernel, ifindex, tapName)) throw isHeld(tapName);
  } finally {
    kernel.closeFd(opened.fd);
  }
}

/**
 * Whether this process, which has a TAP of several queues open once, is the only one: until the
 * owner was set, others may have added theirs. Throws Refused.
 */
export function isAlone(kernel: Kernel, ifindex: number, tapName: string): boolean {
  return mustBeThere(kernel, ifindex, tapName).tun.queues === 1;
}

function mustBeThere(kernel: Kernel, ifindex: number, tapName: string) {
  const link = kernel.link({ ifindex });
  if (!link?.tun) throw isGone(tapName);
  return { name: link.name, tun: link.tun };
}

/** The kernel refuses a second opener of a TAP of one queue: the attempt is the proof. */
function open<T>(attempt: () => T, tapName: string): T {
  try {
    return attempt();
  } catch (error) {
    throw failureOf(error, "TUNSETIFF", tapName).errno === EBUSY ? isHeld(tapName) : error;
  }
}

function isHeld(tapName: string): Refused {
  const text =
    `a process has TAP ${tapName} open, so that it cannot be given to another owner: ` +
    "end that process and reconcile, or put the guest to standby and recreate it";
  return conflict(tapName, EBUSY, text);
}

function stays(tapName: string, from: TapOwner, to: TapOwner): Refused {
  const text =
    `TAP ${tapName} belongs to ${formatOwner(from)} and cannot be given to ${formatOwner(to)} alone, ` +
    "since the kernel takes no id away: put the guest to standby and recreate it";
  return conflict(tapName, 0, text);
}

function conflict(device: string, errno: number, text: string): Refused {
  const code = "ERR_FORKNET_CONFLICT";
  return new Refused({ operation: "TUNSETIFF", device, errno, code, text, leftBehind: [] });
}

function isGone(device: string): Refused {
  return new Refused({ operation: "RTM_GETLINK", device, errno: ENODEV, text: "", leftBehind: [] });
}
