// Virtio headers as a guest's card, or a guest that lies, might write them before a random frame:
// mostly honest, with the checksum left pending as honest stacks leave it.

import { ETHER_TYPE, IP_PROTOCOL, internetChecksum } from "./frames.js";
import type { Random } from "./random-frames.js";
import { GSO, type VirtioFields } from "./virtio.js";

export const CHECKSUM_OFFSET = new Map<number, number>([
  [IP_PROTOCOL.tcp, 16],
  [IP_PROTOCOL.udp, 6],
]);
/** Longer than any header that the kernel takes off before it compares: whether a frame is cut is clear. */
const HEADERS_BYTES = 94;
const SMALL_SEGMENTS = [1, 7, 8, 9, 12, 16, 24, 40] as const;
/** Some kernels raise smaller ones to it: Debian's Linux 6.1.192 does. */
const LEAST_TCP_BYTES = 8;
const NOT_CUT_BYTES = 0x4000;

/** A TCP or UDP packet that is no fragment, and has a whole header up to its checksum. */
export interface Transport {
  protocol: number;
  start: number;
  checksumAt: number;
}

export function transportOf(frame: Buffer): Transport | undefined {
  if (frame.length < 34 || frame.readUInt16BE(12) !== ETHER_TYPE.ipv4) return undefined;
  const protocol = frame.readUInt8(23);
  const offset = CHECKSUM_OFFSET.get(protocol);
  const start = 14 + (frame.readUInt8(14) & 15) * 4;
  const isFragment = (frame.readUInt16BE(20) & 0x3fff) !== 0;
  if (offset === undefined || isFragment || frame.length < start + offset + 2) return undefined;
  return { protocol, start, checksumAt: start + offset };
}

/**
 * A header for the frame, which it changes where its checksum is left pending. Whether the frame is cut
 * into segments is beyond doubt.
 */
export function randomVirtio(random: Random, frame: Buffer, mayLie: boolean): VirtioFields {
  const transport = transportOf(frame);
  const linearBytes = random.of([0, 0, 14, 34, frame.length]);
  if (!transport || random.chance(4))
    return mayLie && random.chance(2) ? lie(random, frame, linearBytes) : { linearBytes };
  if (!random.chance(8)) leavePending(frame, transport);
  const { protocol, start, checksumAt } = transport;
  const honest = { checksum: { start, at: checksumAt }, linearBytes };
  if (mayLie && random.chance(4)) return lie(random, frame, linearBytes);
  if (!random.chance(2)) return honest;
  const own = protocol === IP_PROTOCOL.tcp ? [GSO.tcp4, GSO.tcp4 | GSO.ecn] : [GSO.udp, GSO.udpL4];
  const other = [GSO.tcp4, GSO.udp, GSO.tcp6, GSO.udpL4, GSO.udp | GSO.ecn];
  const gsoType = random.of(mayLie && random.chance(4) ? other : own);
  return { ...honest, ...segments(random, frame, gsoType, !mayLie) };
}

/** What no honest stack does, and some of it by chance. */
function lie(random: Random, frame: Buffer, linearBytes: number): VirtioFields {
  const gso = random.chance(3)
    ? segments(random, frame, random.of([GSO.tcp4, GSO.udp, GSO.tcp6, GSO.udpL4]), false)
    : {};
  const start = random.of([14, 20, 30, 33, 34, 35, 36, 38, 42, 54, random.below(frame.length)]);
  const at = start + random.of([0, 2, 6, 6, 10, 16, 16, random.below(24)]);
  return random.chance(5)
    ? { ...gso, linearBytes }
    : { checksum: { start, at }, ...gso, linearBytes };
}

function segments(
  random: Random,
  frame: Buffer,
  gsoType: number,
  isHonest: boolean,
): Pick<VirtioFields, "gsoType" | "segmentBytes"> {
  const most = frame.length - HEADERS_BYTES - 1;
  // IP fragments begin at multiples of eight bytes.
  const step = isHonest && gsoType === GSO.udp ? 8 : 1;
  const isUdp = gsoType === GSO.udp || gsoType === GSO.udpL4;
  const least = isUdp && !isHonest ? 1 : LEAST_TCP_BYTES;
  const fitting = SMALL_SEGMENTS.filter(
    (bytes) => bytes >= least && bytes <= most && bytes % step === 0,
  );
  if (fitting.length === 0) return { gsoType, segmentBytes: NOT_CUT_BYTES };
  return { gsoType, segmentBytes: random.of(fitting) };
}

function leavePending(frame: Buffer, { protocol, start, checksumAt }: Transport): void {
  const length = frame.length - start;
  const tail = Buffer.from([0, protocol, length >> 8, length & 255]);
  const sum = ~internetChecksum(Buffer.concat([frame.subarray(26, 34), tail])) & 0xffff;
  frame.writeUInt16BE(sum, checksumAt);
}
