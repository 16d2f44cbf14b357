// What the translating programs do to a frame, said again in plain TypeScript: the verdict, and the
// frame as it goes on. Checksums are followed word by word, as RFC 1624 has it.

import type { IdentityFields } from "./bpf-programs.js";
import { ETHER_TYPE, IP_PROTOCOL, internetChecksum, ipBytes, macBytes } from "./frames.js";

export type Way = "from guest" | "to guest";

/** The frame that passes, or why it does not. */
export type Outcome = Buffer | string;

const ICMP_ERRORS: readonly number[] = [3, 4, 5, 11, 12];
const CHECKSUM_AT = new Map<number, number>([
  [IP_PROTOCOL.tcp, 16],
  [IP_PROTOCOL.udp, 6],
  [33, 6],
  [136, 6],
]);
const NO_TAG: readonly number[] = [ETHER_TYPE.vlan, 0x88a8];

interface Sides {
  from: IdentityFields;
  to: IdentityFields;
}

export class TranslateModel {
  readonly #inner: IdentityFields;
  readonly #outer: IdentityFields;

  constructor(inner: IdentityFields, outer: IdentityFields) {
    this.#inner = inner;
    this.#outer = outer;
  }

  /** `isPending`: the kernel is still to write a checksum into it. */
  outcome(given: Buffer, way: Way, isPending = false): Outcome {
    const frame = Buffer.from(given);
    const isSent = way === "from guest";
    const refusal = isSent ? this.#refusalSent(frame) : this.#refusalArriving(frame);
    if (refusal) return refusal;
    const sides = isSent
      ? { from: this.#inner, to: this.#outer }
      : { from: this.#outer, to: this.#inner };
    const { from, to } = sides;
    // The guest's own end, and the other.
    const [own, other] = isSent ? [6, 0] : [0, 6];
    swapMac(frame, own, from.mac, to.mac);
    swapMac(frame, other, from.gatewayMac, to.gatewayMac);
    if (frame.readUInt16BE(12) === ETHER_TYPE.arp) return translateArp(frame, sides, isSent);
    return translateIpv4(frame, sides, isSent, isPending);
  }

  /** Why a guest's frame is dropped before anything is translated; "" when it is not. */
  refusal(frame: Buffer): string {
    return this.#refusalSent(frame);
  }

  #refusalSent(frame: Buffer): string {
    const { mac, ip } = this.#inner;
    const type = frame.readUInt16BE(12);
    if (NO_TAG.includes(type)) return "vlan";
    if (!has(frame, 6, macBytes(mac))) return "mac";
    if (type === ETHER_TYPE.ipv4) {
      if (isMalformed(frame)) return "malformed";
      if (!has(frame, 26, ipBytes(ip))) return "ip";
      return isPeer(frame.subarray(30, 34), this.#outer) ? "peer" : "";
    }
    if (type !== ETHER_TYPE.arp) return "protocol";
    if (frame.length < 42) return "malformed";
    const isOurs = isArp(frame) && has(frame, 22, macBytes(mac)) && has(frame, 28, ipBytes(ip));
    return isOurs ? "" : "arp";
  }

  #refusalArriving(frame: Buffer): string {
    const { mac, ip } = this.#outer;
    const type = frame.readUInt16BE(12);
    if (NO_TAG.includes(type)) return "gate_foreign";
    if (frame.length < 34) return "gate_malformed";
    const isGroup = (frame.readUInt8(0) & 1) === 1;
    if (!isGroup && !has(frame, 0, macBytes(mac))) return "gate_foreign";
    if (type === ETHER_TYPE.ipv4) {
      if (isMalformed(frame)) return "gate_malformed";
      return isGroup || has(frame, 30, ipBytes(ip)) ? "" : "gate_foreign";
    }
    if (type !== ETHER_TYPE.arp) return "gate_foreign";
    if (frame.length < 42) return "gate_malformed";
    return isArp(frame) && has(frame, 38, ipBytes(ip)) ? "" : "gate_foreign";
  }
}

function translateArp(frame: Buffer, { from, to }: Sides, isSent: boolean): Buffer {
  const [senderMac, senderIp, targetMac, targetIp] = [22, 28, 32, 38] as const;
  if (isSent) {
    swapMac(frame, senderMac, from.mac, to.mac);
    swapIp(frame, senderIp, from.ip, to.ip);
    swapMac(frame, targetMac, from.gatewayMac, to.gatewayMac);
    swapIp(frame, targetIp, from.gateway, to.gateway);
  } else {
    swapMac(frame, senderMac, from.gatewayMac, to.gatewayMac);
    swapIp(frame, senderIp, from.gateway, to.gateway);
    swapMac(frame, targetMac, from.mac, to.mac);
  }
  swapIp(frame, targetIp, from.ip, to.ip);
  return frame;
}

function translateIpv4(frame: Buffer, sides: Sides, isSent: boolean, isPending: boolean): Outcome {
  const transport = 14 + (frame.readUInt8(14) & 15) * 4;
  if (transport > frame.length) return isSent ? "malformed" : "gate_malformed";
  const former = addresses(frame, 14);
  swapEnds(frame, 14, sides, isSent);
  follow(frame, 24, former, addresses(frame, 14));
  if (isLaterFragment(frame, 14)) return frame;
  const protocol = frame.readUInt8(23);
  if (protocol === IP_PROTOCOL.icmp) return translateIcmp(frame, transport, sides, !isSent);
  if (former.equals(addresses(frame, 14))) return frame;
  const at = CHECKSUM_AT.get(protocol);
  if (at === undefined) return frame;
  if (frame.length < transport + at + 2) return "untranslatable";
  const field = transport + at;
  // Around a tunnel a UDP checksum is complete while another is pending.
  const isSum =
    protocol === IP_PROTOCOL.udp
      ? frame.readUInt16BE(field) === pseudoSum(former, protocol, frame.readUInt16BE(field - 2))
      : true;
  if (!isPending || !isSum) followTransport(frame, field, protocol, former, addresses(frame, 14));
  else {
    complement(frame, field);
    follow(frame, field, former, addresses(frame, 14));
    complement(frame, field);
  }
  return frame;
}

/** `isSent`: of the packet that is quoted. */
function translateIcmp(frame: Buffer, icmp: number, sides: Sides, isSent: boolean): Outcome {
  if (frame.length < icmp + 1) return "untranslatable";
  if (!ICMP_ERRORS.includes(frame.readUInt8(icmp))) return frame;
  const quote = icmp + 8;
  if (frame.length < quote + 20) return "untranslatable";
  const first = frame.readUInt8(quote);
  if (first >> 4 !== 4 || (first & 15) < 5) return "untranslatable";
  const before = Buffer.from(frame.subarray(quote));
  const former = addresses(frame, quote);
  swapEnds(frame, quote, sides, isSent);
  follow(frame, quote + 10, former, addresses(frame, quote));
  const protocol = frame.readUInt8(quote + 9);
  const at = CHECKSUM_AT.get(protocol);
  const field = quote + (first & 15) * 4 + (at ?? 0);
  const isThere = at !== undefined && !isLaterFragment(frame, quote) && field + 2 <= frame.length;
  if (isThere && !former.equals(addresses(frame, quote))) {
    const isPending = frame.readUInt16BE(field) === pendingSum(frame, quote, former);
    if (isPending) complement(frame, field);
    followTransport(frame, field, protocol, former, addresses(frame, quote));
    if (isPending) complement(frame, field);
  }
  follow(frame, icmp + 2, before, frame.subarray(quote));
  return frame;
}

/** A checksum that a network card would finish: the sum of the pseudo header, not its complement. */
function pendingSum(frame: Buffer, header: number, ips: Buffer): number {
  const length = frame.readUInt16BE(header + 2) - (frame.readUInt8(header) & 15) * 4;
  return pseudoSum(ips, frame.readUInt8(header + 9), length);
}

function pseudoSum(ips: Buffer, protocol: number, length: number): number {
  const tail = Buffer.from([0, protocol, (length >> 8) & 255, length & 255]);
  return ~internetChecksum(Buffer.concat([ips, tail])) & 0xffff;
}

function complement(frame: Buffer, field: number): void {
  frame.writeUInt16BE(~frame.readUInt16BE(field) & 0xffff, field);
}

function followTransport(
  frame: Buffer,
  field: number,
  protocol: number,
  former: Buffer,
  now: Buffer,
): void {
  const isUdp = protocol === IP_PROTOCOL.udp;
  if (isUdp && frame.readUInt16BE(field) === 0) return;
  follow(frame, field, former, now);
  if (isUdp && frame.readUInt16BE(field) === 0) frame.writeUInt16BE(0xffff, field);
}

/** The checksum at `field` when these words become those. Unchanged where none of them differs. */
function follow(frame: Buffer, field: number, former: Buffer, now: Buffer): void {
  if (former.equals(now)) return;
  let sum = ~frame.readUInt16BE(field) & 0xffff;
  for (let at = 0; at + 1 < now.length; at += 2)
    sum += (~former.readUInt16BE(at) & 0xffff) + now.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  frame.writeUInt16BE(~sum & 0xffff, field);
}

function swapEnds(frame: Buffer, header: number, { from, to }: Sides, isSent: boolean): void {
  const [own, other] = isSent ? [12, 16] : [16, 12];
  swapIp(frame, header + own, from.ip, to.ip);
  swapIp(frame, header + other, from.gateway, to.gateway);
}

function addresses(frame: Buffer, header: number): Buffer {
  return Buffer.from(frame.subarray(header + 12, header + 20));
}

function isLaterFragment(frame: Buffer, header: number): boolean {
  return (frame.readUInt16BE(header + 6) & 0x1fff) !== 0;
}

function isMalformed(frame: Buffer): boolean {
  if (frame.length < 34) return true;
  const first = frame.readUInt8(14);
  return first >> 4 !== 4 || (first & 15) < 5;
}

function isPeer(ip: Buffer, outer: IdentityFields): boolean {
  const isInside = has(ip, 0, ipBytes(outer.ip).subarray(0, 2));
  return isInside && !ip.equals(ipBytes(outer.gateway)) && !ip.equals(ipBytes(outer.ip));
}

function isArp(frame: Buffer): boolean {
  return has(frame, 14, Buffer.from("000108000604", "hex"));
}

function has(frame: Buffer, at: number, bytes: Buffer): boolean {
  return frame.subarray(at, at + bytes.length).equals(bytes);
}

function swapIp(frame: Buffer, at: number, from: string, to: string): void {
  if (has(frame, at, ipBytes(from))) ipBytes(to).copy(frame, at);
}

function swapMac(frame: Buffer, at: number, from: string, to: string): void {
  if (has(frame, at, macBytes(from))) macBytes(to).copy(frame, at);
}
