// One lease: what a guest holds, and its binary form as a value of the kernel map, whose layout is
// shared with native/bpf/layout.h. The readable copy is alias.ts.

import type { InnerIdentity } from "../identity/guest-identity.js";
import type { TapOwner } from "../identity/tap-owner.js";
import type { Ipv4, Mac } from "../kernel/messages.js";
import type { Limits } from "../limits.js";

/** Everything about a guest that outlives the process. */
export interface Lease {
  instanceId: string;
  instanceName: string;
  ip: Ipv4;
  mac: Mac;
  classMinor: number;
  limits: Limits;
  /** Whose total limits its uploads count in. */
  group?: string;
  /** What it believes to be; absent when it knows its own address. */
  guest?: InnerIdentity;
  /** Who may open its TAP; absent where the network's owner applies. */
  owner?: TapOwner;
  /** Milliseconds since the epoch: for people. Ages are told by the next. */
  createdMs: number;
  /** Milliseconds of this boot's clock (kernel/boot.ts); absent where it is not known. */
  createdBootMs?: number;
  /** Tells two incarnations of one address apart. */
  generation: number;
  /** The guard passes nothing either way. */
  blocked: boolean;
}

export const LEASE_VERSION = 2;
export const LEASE_BYTES = 288;
const FLAG_BLOCKED = 1;
const FLAG_TRANSLATED = 2;
const BORN_AT = 56;
const ID_AT = 64;
const NAME_AT = 128;
const GROUP_AT = 192;
const GUEST_AT = 256;
/** A uid and a gid, each plus one: zeros, as a former release writes, are no owner. */
const OWNER_AT = 276;
const TEXT_BYTES = 64;

/** Writes the map value. `into` is reused by the hot path; its old content is overwritten whole. */
export function encodeLease(lease: Lease, into: Buffer = Buffer.alloc(LEASE_BYTES)): Buffer {
  into.fill(0);
  // DataView's methods are fast before the compiler has seen them; Buffer's are not.
  const view = new DataView(into.buffer, into.byteOffset, LEASE_BYTES);
  view.setUint32(0, LEASE_VERSION, true);
  const { guest } = lease;
  view.setUint32(4, (lease.blocked ? FLAG_BLOCKED : 0) | (guest ? FLAG_TRANSLATED : 0), true);
  writeMac(view, lease.mac, 8);
  view.setUint16(14, lease.classMinor, true);
  view.setUint32(16, lease.ip);
  view.setUint32(20, lease.generation, true);
  write64(view, lease.createdMs, 24);
  write64(view, lease.limits.download ?? 0, 32);
  write64(view, lease.limits.upload?.rate ?? 0, 40);
  write64(view, lease.limits.upload?.ceil ?? 0, 48);
  write64(view, lease.createdBootMs ?? 0, BORN_AT);
  into.write(lease.instanceId, ID_AT, TEXT_BYTES, "latin1");
  into.write(lease.instanceName, NAME_AT, TEXT_BYTES, "latin1");
  if (lease.group !== undefined) into.write(lease.group, GROUP_AT, TEXT_BYTES, "latin1");
  if (guest) {
    view.setUint32(GUEST_AT, guest.ip);
    view.setUint32(GUEST_AT + 4, guest.gateway);
    writeMac(view, guest.mac, GUEST_AT + 8);
    writeMac(view, guest.gatewayMac, GUEST_AT + 14);
  }
  const { owner } = lease;
  if (owner) {
    view.setUint32(OWNER_AT, (owner.uid ?? -1) + 1, true);
    view.setUint32(OWNER_AT + 4, (owner.gid ?? -1) + 1, true);
  }
  return into;
}

/** Reads a map value; undefined when it is not of this layout version. */
export function decodeLease(value: Buffer): Lease | undefined {
  if (value.length !== LEASE_BYTES || value.readUInt32LE(0) !== LEASE_VERSION) return undefined;
  const download = read64(value, 32);
  const rate = read64(value, 40);
  const group = readText(value, GROUP_AT);
  const flags = value.readUInt32LE(4);
  const createdBootMs = read64(value, BORN_AT);
  return {
    instanceId: readText(value, ID_AT),
    instanceName: readText(value, NAME_AT),
    ip: value.readUInt32BE(16),
    mac: value.readUIntBE(8, 6),
    classMinor: value.readUInt16LE(14),
    limits: { download: download || null, upload: rate ? { rate, ceil: read64(value, 48) } : null },
    ...(group === "" ? {} : { group }),
    ...(flags & FLAG_TRANSLATED ? { guest: readGuest(value) } : {}),
    ...readOwner(value),
    createdMs: read64(value, 24),
    ...(createdBootMs === 0 ? {} : { createdBootMs }),
    generation: value.readUInt32LE(20),
    blocked: (flags & FLAG_BLOCKED) !== 0,
  };
}

function readGuest(from: Buffer): InnerIdentity {
  return {
    ip: from.readUInt32BE(GUEST_AT),
    gateway: from.readUInt32BE(GUEST_AT + 4),
    mac: from.readUIntBE(GUEST_AT + 8, 6),
    gatewayMac: from.readUIntBE(GUEST_AT + 14, 6),
  };
}

function readOwner(from: Buffer): Pick<Lease, "owner"> {
  const [uidPlusOne, gidPlusOne] = [from.readUInt32LE(OWNER_AT), from.readUInt32LE(OWNER_AT + 4)];
  const owner = {
    ...(uidPlusOne === 0 ? {} : { uid: uidPlusOne - 1 }),
    ...(gidPlusOne === 0 ? {} : { gid: gidPlusOne - 1 }),
  };
  return uidPlusOne === 0 && gidPlusOne === 0 ? {} : { owner };
}

function writeMac(into: DataView, mac: Mac, at: number): void {
  into.setUint16(at, mac / 2 ** 32);
  into.setUint32(at + 2, mac);
}

// Halves by hand: BigInt would allocate on the path of every fork.
function write64(into: DataView, value: number, at: number): void {
  into.setUint32(at, value, true);
  into.setUint32(at + 4, value / 2 ** 32, true);
}
function read64(from: Buffer, at: number): number {
  return from.readUInt32LE(at + 4) * 2 ** 32 + from.readUInt32LE(at);
}
function readText(from: Buffer, at: number): string {
  const end = from.indexOf(0, at);
  return from.toString("latin1", at, end === -1 || end > at + TEXT_BYTES ? at + TEXT_BYTES : end);
}

/** The map's key for a TAP. */
export function keyOf(ifindex: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(ifindex);
  return key;
}
