// What a caller asks for when it forks, restores or changes a guest, and the checks of it. No I/O.

import type { Bandwidth } from "./bandwidth.js";
import { configError } from "./errors.js";
import {
  GUEST_IDENTITY_KEYS,
  type GuestIdentity,
  type InnerIdentity,
  resolveInner,
} from "./identity/guest-identity.js";
import { formatIpv4, isForGuests, parseIpv4, parseMac, type Subnet } from "./identity/ipv4.js";
import { resolveTapOwner, type TapOwner } from "./identity/tap-owner.js";
import type { Ipv4, Mac } from "./kernel/messages.js";
import { MOST_LABEL_CHARACTERS, MOST_TRANSLATED_LABEL_CHARACTERS } from "./lease/alias.js";
import {
  type GroupLimits,
  type Limits,
  resolveGroupUpload,
  resolveLimits,
  type UploadRequest,
} from "./limits.js";
import { checkKeys, checkLinkName } from "./option-checks.js";
import type { ResolvedOptions } from "./options.js";

/**
 * Limits to set. `null` is unlimited; a side that is left out is unlimited at creation, and
 * unchanged in an update.
 */
export interface LimitsRequest {
  /** Towards the guest. */
  download?: Bandwidth | null;
  /** From the guest: a rate, or a rate and the ceiling of what it may borrow. */
  upload?: UploadRequest | null;
}

/** What setGroupLimits takes: a total over the guests of a group. */
export interface GroupLimitsRequest {
  /** A bandwidth is guaranteed and the most; `ceil` is the rate where it is left out. */
  upload?: UploadRequest;
  /** Refused: guests receive through their own TAPs, which share no queue. */
  download?: Bandwidth;
}

/**
 * What createAllocation takes. Exact ip, mac and tapName are for restores; a conflict is an error.
 */
export interface AllocationRequest extends LimitsRequest {
  /** 1-64 of [A-Za-z0-9._-], unique in the network. */
  instanceId: string;
  /** 1-64 of [A-Za-z0-9._-], unique in the network. */
  instanceName: string;
  /** An address of the subnet. Default: the one that was free longest. */
  ip?: string;
  /** Unicast, "02:00:0a:64:00:07". Default: made of the address. */
  mac?: string;
  /** At most 15 bytes. Default: one of the network's own, "fk" and eight hex digits. */
  tapName?: string;
  /** 1-64 of [A-Za-z0-9._-]: whose total limits its uploads count in, see setGroupLimits. */
  group?: string;
  /**
   * The identity in the guest's memory, where it differs from `ip` and `mac`: it is translated at
   * the TAP. Needs `translate` of openNetwork. An address of the subnet only where it is `ip`.
   */
  guest?: GuestIdentity;
  /**
   * Who may open the guest's TAP instead of the network's `tap.owner` and `tap.group`: a uid, or
   * uid, gid or both. No process with another uid had it open before, or can now, unless it has
   * CAP_NET_ADMIN. The TAP comes from the create lane: a warm slot is given away where it is the
   * agent's own (`tap.owner` left out), else a TAP is made. Kept through standby and restart.
   */
  owner?: number | TapOwner;
}

/** What recreateAllocation takes beside the id. */
export interface RecreateOptions extends LimitsRequest {
  /** Default: one of the network's own, seldom the one of before. */
  tapName?: string;
  /** Replaces the stored owner of the TAP; see AllocationRequest. */
  owner?: number | TapOwner;
  /** Gives the restore up: it rejects with ABORTED and the guest stays in standby. */
  signal?: AbortSignal;
}

/** A request after checking. */
export interface ResolvedRequest {
  instanceId: string;
  instanceName: string;
  ip?: Ipv4;
  mac?: Mac;
  tapName?: string;
  group?: string;
  guest?: InnerIdentity;
  owner?: TapOwner;
  limits: Limits;
}

const REQUEST_KEYS = new Set([
  "instanceId",
  "instanceName",
  "download",
  "upload",
  "ip",
  "mac",
  "tapName",
  "group",
  "guest",
  "owner",
]);
const RECREATE_KEYS = new Set(["tapName", "owner", "download", "upload", "signal"]);
const LIMIT_KEYS = new Set(["download", "upload"]);
const GROUP_KEYS = new Set(["upload", "download"]);
const NEEDS_TRANSLATE = "a network that was opened with translate: true";
const LABEL = /^[A-Za-z0-9._-]{1,64}$/;

/** Checks a request against the network's options; throws ERR_FORKNET_CONFIG. */
export function resolveRequest(
  request: AllocationRequest,
  options: ResolvedOptions,
): ResolvedRequest {
  checkKeys(request, REQUEST_KEYS, "createAllocation");
  const resolved: ResolvedRequest = {
    instanceId: checkLabel(request.instanceId, "instanceId"),
    instanceName: checkLabel(request.instanceName, "instanceName"),
    limits: resolveLimits(request, options.uploadBurstMultiplier),
  };
  if (request.ip !== undefined) resolved.ip = checkGuestAddress(request.ip, options.subnet);
  if (request.mac !== undefined) resolved.mac = parseMac(request.mac, "mac");
  if (request.tapName !== undefined) resolved.tapName = checkLinkName(request.tapName, "tapName");
  if (request.group !== undefined) resolved.group = checkGroup(request);
  if (request.guest !== undefined)
    resolved.guest = checkGuest(request.guest, request, options, resolved.ip);
  if (request.owner !== undefined) resolved.owner = resolveTapOwner(request.owner);
  return resolved;
}

/** The alias of its TAP is where a guest's group is found again when nothing else is left. */
function checkGroup({ instanceId, instanceName, group }: AllocationRequest): string {
  const checked = checkLabel(group, "group");
  const length = instanceId.length + instanceName.length + checked.length;
  if (length <= MOST_LABEL_CHARACTERS) return checked;
  const expected = `at most ${MOST_LABEL_CHARACTERS} characters together with instanceId and instanceName`;
  throw configError("group", expected, group);
}

/** Checks what updateGuest is given; throws ERR_FORKNET_CONFIG. */
export function resolveGuest(
  given: GuestIdentity | null,
  labels: Labels & { ip: Ipv4 },
  options: ResolvedOptions,
): InnerIdentity | undefined {
  if (given !== null) return checkGuest(given, labels, options, labels.ip);
  if (!options.translate) throw configError("updateGuest", NEEDS_TRANSLATE, given);
  return undefined;
}

type Labels = Pick<AllocationRequest, "instanceId" | "instanceName" | "group">;

function checkGuest(
  given: GuestIdentity,
  { instanceId, instanceName, group }: Labels,
  options: ResolvedOptions,
  own: Ipv4 | undefined,
): InnerIdentity {
  if (!options.translate) throw configError("guest", NEEDS_TRANSLATE, given);
  checkKeys(given, GUEST_IDENTITY_KEYS, "guest");
  const inner = resolveInner(given, options.subnet, own);
  const length = instanceId.length + instanceName.length + (group?.length ?? 0);
  if (length <= MOST_TRANSLATED_LABEL_CHARACTERS) return inner;
  const most = `at most ${MOST_TRANSLATED_LABEL_CHARACTERS} characters`;
  const expected = `${most} of instanceId, instanceName and group together`;
  throw configError("guest", expected, length);
}

/** Checks what setGroupLimits is given; throws ERR_FORKNET_CONFIG. */
export function resolveGroupLimits(given: GroupLimitsRequest | null): GroupLimits | null {
  if (given === null) return null;
  checkKeys(given, GROUP_KEYS, "setGroupLimits");
  if (given.download !== undefined) {
    const expected = "nothing (a group has no download total: its guests' TAPs share no queue)";
    throw configError("download", expected, given.download);
  }
  if (given.upload === undefined)
    throw configError("upload", "a bandwidth or { rate, ceil }", given.upload);
  return resolveGroupUpload(given.upload);
}

/** Checks the options of recreateAllocation; limits that are left out stay as they were. */
export function resolveRecreate(given: RecreateOptions, stored: Limits, options: ResolvedOptions) {
  checkKeys(given, RECREATE_KEYS, "recreateAllocation");
  return {
    limits: mergeLimits(given, stored, options.uploadBurstMultiplier),
    ...(given.tapName === undefined ? {} : { tapName: checkLinkName(given.tapName, "tapName") }),
    ...(given.owner === undefined ? {} : { owner: resolveTapOwner(given.owner) }),
  };
}

/** Checks the limits of updateLimits and lays them over the present ones. */
export function resolveUpdate(
  given: LimitsRequest,
  present: Limits,
  options: ResolvedOptions,
): Limits {
  checkKeys(given, LIMIT_KEYS, "updateLimits");
  return mergeLimits(given, present, options.uploadBurstMultiplier);
}

/** 1-64 of [A-Za-z0-9._-]. */
export function checkLabel(value: unknown, option: string): string {
  if (!isLabel(value)) throw configError(option, "1 to 64 of A-Z a-z 0-9 . _ -", value);
  return value;
}

export function isLabel(value: unknown): value is string {
  return typeof value === "string" && LABEL.test(value);
}

function mergeLimits(given: LimitsRequest, present: Limits, multiplier: number): Limits {
  const wished = resolveLimits(given, multiplier);
  return {
    download: given.download === undefined ? present.download : wished.download,
    upload: given.upload === undefined ? present.upload : wished.upload,
  };
}

function checkGuestAddress(text: string, subnet: Subnet): Ipv4 {
  const ip = parseIpv4(text, "ip");
  if (!isForGuests(subnet, ip)) {
    const range = `${formatIpv4(subnet.network)}/${subnet.prefixLength}`;
    throw configError(
      "ip",
      `a guest's address inside ${range}, not its network, gateway or broadcast address`,
      text,
    );
  }
  return ip;
}
