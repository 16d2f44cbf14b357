// Who may open a TAP: a uid, a gid or both, and how the kernel compares them. Pure.

import { configError } from "../errors.js";
import { checkKeys, checkWhole } from "../option-checks.js";

/**
 * The ids a process needs to open a TAP (`ip tuntap add user UID group GID`). At least one is set;
 * where both are, a process needs both. CAP_NET_ADMIN opens any TAP.
 */
export interface TapOwner {
  /** The process's effective uid. */
  uid?: number;
  /** One of the process's groups. Without `uid`: any user of the group. */
  gid?: number;
}

/** The same as the kernel and the `tap` option of openNetwork name it. */
interface TunIds {
  owner?: number;
  group?: number;
}

const KEYS = new Set(["uid", "gid"]);
/** The kernel takes the next one, -1, for nobody in particular: such a TAP opens for everybody. */
export const LARGEST_ID = 2 ** 32 - 2;

/** Checks the `owner` of a request; throws ERR_FORKNET_CONFIG. */
export function resolveTapOwner(given: unknown): TapOwner {
  if (typeof given === "number") return { uid: checkId(given, "owner") };
  const expected = "a uid or an object with uid, gid or both";
  if (typeof given !== "object" || given === null) throw configError("owner", expected, given);
  checkKeys(given, KEYS, "owner");
  const { uid, gid } = given as TapOwner;
  if (uid === undefined && gid === undefined) throw configError("owner", expected, given);
  return {
    ...(uid === undefined ? {} : { uid: checkId(uid, "owner.uid") }),
    ...(gid === undefined ? {} : { gid: checkId(gid, "owner.gid") }),
  };
}

/** A uid or a gid; throws ERR_FORKNET_CONFIG. */
export function checkId(value: unknown, option: string): number {
  return checkWhole(value, option, LARGEST_ID);
}

export function ownerOf({ owner: uid, group: gid }: TunIds): TapOwner {
  return { ...(uid === undefined ? {} : { uid }), ...(gid === undefined ? {} : { gid }) };
}

export function toTunIds({ uid, gid }: TapOwner): TunIds {
  return {
    ...(uid === undefined ? {} : { owner: uid }),
    ...(gid === undefined ? {} : { group: gid }),
  };
}

export function sameOwner(a: TapOwner, b: TapOwner): boolean {
  return a.uid === b.uid && a.gid === b.gid;
}

/** The kernel replaces a TAP's ids and takes none away: TUNSETOWNER and TUNSETGROUP refuse -1. */
export function canBecome(from: TapOwner, to: TapOwner): boolean {
  return (
    (from.uid === undefined || to.uid !== undefined) &&
    (from.gid === undefined || to.gid !== undefined)
  );
}

/** "uid 1001", "gid 36", "uid 1001 with gid 36", "everybody". */
export function formatOwner({ uid, gid }: TapOwner): string {
  const ids = [
    ...(uid === undefined ? [] : [`uid ${uid}`]),
    ...(gid === undefined ? [] : [`gid ${gid}`]),
  ];
  return ids.join(" with ") || "everybody";
}
