// The standby leases as text: a line a record, each with its checksum, so that no damage passes for
// a lease. Which file they are in, and when, is standby-store.ts.

import { crc32 } from "node:zlib";
import { ForknetError } from "../errors.js";
import type { InnerIdentity } from "../identity/guest-identity.js";
import { LARGEST_ID, type TapOwner } from "../identity/tap-owner.js";
import { bootId } from "../kernel/boot.js";
import { isLabel } from "../request.js";
import type { Lease } from "./lease.js";

/** Of the file as a whole. 1 was an LMDB file: former-store.ts. */
export const STORE_VERSION = 2;
/** Of one record. Fields may be added without a new one: who does not know them ignores them. */
const RECORD_VERSION = 1;

/** One change of the store: a lease that is kept from now on, or the end of one. */
export interface StandbyChange {
  instanceId: string;
  lease?: Lease;
}

/** What a file holds, as far as it can be trusted. */
export interface StoredLeases {
  leases: Map<string, Lease>;
  /** What is wrong with the file; "" when nothing is. */
  damage: string;
}

/** A whole file. The first line says how many records follow, so that a shorter file is noticed. */
export function encodeStore(leases: Iterable<Lease>): string {
  const records = Array.from(leases, (lease) =>
    encodeChange({ instanceId: lease.instanceId, lease }),
  );
  const header = { forknet: "standby", version: STORE_VERSION, records: records.length };
  return encodeLine(header) + records.join("");
}

/** One line, to be appended to a file. */
export function encodeChange({ instanceId, lease }: StandbyChange): string {
  const body = lease ? { lease: { ...lease, bootId: bootId() } } : { gone: instanceId };
  return encodeLine({ version: RECORD_VERSION, ...body });
}

/**
 * Reads a file back. Lines that fail their checksum are passed over and told in `damage`. Throws
 * CONFLICT for a file or a record of a newer version, naming `path`.
 */
export function decodeStore(content: Buffer, path: string): StoredLeases {
  const lines = content.toString("latin1").split("\n");
  // What is written ends with a line's end.
  const torn = lines.pop() !== "" ? 1 : 0;
  const bodies = lines.map(decodeLine);
  const header = bodies[0] as { forknet?: unknown; version?: unknown; records?: unknown };
  const isHeader = header?.forknet === "standby" && typeof header.version === "number";
  if (isHeader && (header.version as number) > STORE_VERSION)
    throw newer(path, header.version, STORE_VERSION);
  const leases = new Map<string, Lease>();
  let good = 0;
  for (const body of isHeader ? bodies.slice(1) : bodies) {
    const change = toChange(body, path);
    if (!change) continue;
    good++;
    if (change.lease) leases.set(change.instanceId, change.lease);
    else leases.delete(change.instanceId);
  }
  const bad = bodies.length + torn - good - (isHeader ? 1 : 0);
  return { leases, damage: describeDamage(content, isHeader ? header : undefined, good, bad) };
}

function describeDamage(
  content: Buffer,
  header: { version?: unknown; records?: unknown } | undefined,
  good: number,
  bad: number,
): string {
  if (content.length === 0) return "it is empty";
  if (!header || header.version !== STORE_VERSION) return "its first line is not that of a store";
  if (bad > 0) return `${bad} of its ${good + bad} records are damaged`;
  if (good < Number(header.records)) return `${good} of its ${header.records} records are there`;
  return "";
}

/** Undefined for anything that is no change of this version. */
function toChange(body: unknown, path: string): StandbyChange | undefined {
  const { version, lease, gone } = (body ?? {}) as Record<string, unknown>;
  if (typeof version !== "number") return undefined;
  if (version > RECORD_VERSION) throw newer(path, version, RECORD_VERSION);
  if (isLabel(gone)) return { instanceId: gone };
  const checked = toLease(lease);
  return checked && { instanceId: checked.instanceId, lease: checked };
}

/** Takes the fields that a lease has, and only when each is what it should be. */
export function toLease(value: unknown): Lease | undefined {
  const given = (value ?? {}) as Record<keyof Lease | "bootId", unknown>;
  const { instanceId, instanceName, ip, mac, group, createdMs, generation } = given;
  const { download, upload } = (given.limits ?? {}) as Record<string, unknown>;
  const { rate, ceil } = (upload ?? {}) as Record<string, unknown>;
  const isLimited =
    isWhole(rate, Number.MAX_SAFE_INTEGER) && isWhole(ceil, Number.MAX_SAFE_INTEGER);
  if (!isLabel(instanceId) || !isLabel(instanceName)) return undefined;
  if (!isWhole(ip, 2 ** 32 - 1) || !isWhole(mac, 2 ** 48 - 1)) return undefined;
  if (!isWhole(createdMs, Number.MAX_SAFE_INTEGER) || !isWhole(generation, 2 ** 32 - 1))
    return undefined;
  if (group !== undefined && !isLabel(group)) return undefined;
  if (given.guest !== undefined && !isInner(given.guest)) return undefined;
  if (given.owner !== undefined && !isOwner(given.owner)) return undefined;
  if (download !== null && !isWhole(download, Number.MAX_SAFE_INTEGER)) return undefined;
  if (upload !== null && !isLimited) return undefined;
  const limits = { download, upload: upload === null ? null : { rate, ceil } } as Lease["limits"];
  // A guest in standby has no class and is not blocked.
  const none = { classMinor: 0, blocked: false };
  const part = {
    ...(group === undefined ? {} : { group }),
    ...(given.guest === undefined ? {} : { guest: given.guest }),
    ...(isOfThisBoot(given) ? { createdBootMs: given.createdBootMs } : {}),
    ...(given.owner === undefined ? {} : { owner: given.owner }),
  };
  return { instanceId, instanceName, ip, mac, limits, ...part, createdMs, generation, ...none };
}

/** The clock of another boot says nothing here. */
function isOfThisBoot(
  given: Record<"createdBootMs" | "bootId", unknown>,
): given is { createdBootMs: number; bootId: string } {
  const { createdBootMs, bootId: id } = given;
  const isKnown = isWhole(createdBootMs, Number.MAX_SAFE_INTEGER) && createdBootMs > 0;
  return isKnown && id !== "" && id === bootId();
}

function isInner(value: unknown): value is InnerIdentity {
  const { ip, mac, gateway, gatewayMac } = (value ?? {}) as Record<keyof InnerIdentity, unknown>;
  const areIps = [ip, gateway].every((one) => isWhole(one, 2 ** 32 - 1));
  return areIps && [mac, gatewayMac].every((one) => isWhole(one, 2 ** 48 - 1));
}

function isOwner(value: unknown): value is TapOwner {
  const { uid, gid } = (value ?? {}) as Record<keyof TapOwner, unknown>;
  const ids = [uid, gid].filter((id) => id !== undefined);
  return ids.length > 0 && ids.every((id) => isWhole(id, LARGEST_ID));
}

export function isWhole(value: unknown, most: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
}

/** `CRC32 JSON`: `00c0ffee {"version":1,"gone":"vm-1"}`. */
export function encodeLine(body: object): string {
  const text = JSON.stringify(body);
  return `${checksum(text)} ${text}\n`;
}

export function decodeLine(line: string): unknown {
  const text = line.slice(9);
  if (line.slice(0, 9) !== `${checksum(text)} `) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, "0");
}

export function newer(path: string, found: unknown, known: number): ForknetError {
  const text = `${path} was written by a newer forknet (format ${found}, this one knows ${known})`;
  return new ForknetError("ERR_FORKNET_CONFLICT", text);
}
