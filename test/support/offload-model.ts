// What a virtio header makes of a frame that was judged, said again in plain TypeScript: whether the
// guard may let it pass, and the frames that the kernel then sends to a port which takes neither
// pending checksums nor segments.

import { IP_PROTOCOL, internetChecksum } from "./frames.js";
import { transportOf } from "./random-virtio.js";
import { GSO, type VirtioFields } from "./virtio.js";

/** How a guard judges: it sees everything by kfuncs, less by helpers. */
export type Way = "kfunc" | "helpers";

const IPV4_AT = 14;
const UDP_HEADER_BYTES = 8;
const FRAGMENT_UNIT_BYTES = 8;
const MORE_FRAGMENTS = 0x2000;
const MOST_SEGMENTS = 256;
const FIN_AND_PUSH = 0x09;
const CWR = 0x80;

export function isCut(frame: Buffer, { gsoType = 0, segmentBytes = 0 }: VirtioFields): boolean {
  return gsoType !== GSO.none && segmentBytes < frame.length;
}

/** Of a frame whose headers are accepted: whether it is dropped for what its virtio header asks. */
export function isRefused(frame: Buffer, virtio: VirtioFields, way: Way): boolean {
  const { checksum, gsoType = 0, segmentBytes = 0 } = virtio;
  const cut = isCut(frame, virtio);
  if (cut && frame.length > segmentBytes * MOST_SEGMENTS) return true;
  if (!checksum) return cut;
  const own = transportOf(frame);
  if (!own) return true;
  const isUdp = own.protocol === IP_PROTOCOL.udp;
  // A checksum behind the own one is in what the packet carries.
  if (way === "helpers")
    return checksum.at < own.checksumAt || (cut && isUdp && segmentBytes < UDP_HEADER_BYTES);
  if (checksum.start !== own.start || checksum.at !== own.checksumAt) return true;
  if (!cut) return false;
  if (!isUdp) return (gsoType & ~GSO.ecn) !== GSO.tcp4;
  const isWhole = segmentBytes % FRAGMENT_UNIT_BYTES === 0;
  return gsoType !== GSO.udpL4 && !(gsoType === GSO.udp && isWhole);
}

/**
 * What arrives of a frame that passes, in order. undefined where kernels differ: a guest asked for
 * segments of one kind and meant another, which only helpers let pass.
 */
export function completed(frame: Buffer, virtio: VirtioFields): Buffer[] | undefined {
  const { checksum } = virtio;
  if (!checksum) return [frame];
  // The kernel takes no such frame.
  if (checksum.at + 2 > frame.length) return undefined;
  if (!isCut(frame, virtio)) return [withChecksum(frame, checksum.start, checksum.at)];
  const own = transportOf(frame);
  if (!own || own.start !== checksum.start || own.checksumAt !== checksum.at) return undefined;
  const { gsoType = 0, segmentBytes = 0 } = virtio;
  if (own.protocol === IP_PROTOCOL.tcp)
    return (gsoType & ~GSO.ecn) === GSO.tcp4 ? tcpSegments(frame, own.start, segmentBytes) : [];
  if (gsoType === GSO.udpL4) return udpSegments(frame, own.start, segmentBytes);
  return (gsoType & ~GSO.ecn) === GSO.udp ? udpFragments(frame, own.start, segmentBytes) : [];
}

function tcpSegments(frame: Buffer, start: number, segmentBytes: number): Buffer[] {
  const header = (frame.readUInt8(start + 12) >> 4) * 4;
  const payloadAt = start + header;
  if (header < 20 || frame.length <= payloadAt + segmentBytes) return [];
  const sequence = frame.readUInt32BE(start + 4);
  return cut(frame, payloadAt, segmentBytes).map((payload, i, { length }) => {
    const segment = withHeaders(frame, payloadAt, payload, { id: i });
    segment.writeUInt32BE((sequence + i * segmentBytes) >>> 0, start + 4);
    let flags = segment.readUInt8(start + 13);
    if (i + 1 < length) flags &= ~FIN_AND_PUSH;
    if (i > 0) flags &= ~CWR;
    segment.writeUInt8(flags, start + 13);
    follow(segment, start + 16, frame.length - start, segment.length - start);
    return withChecksum(segment, start, start + 16);
  });
}

function udpSegments(frame: Buffer, start: number, segmentBytes: number): Buffer[] {
  const payloadAt = start + UDP_HEADER_BYTES;
  if (frame.length <= payloadAt + segmentBytes) return [];
  return cut(frame, payloadAt, segmentBytes).map((payload, i) => {
    const segment = withHeaders(frame, payloadAt, payload, { id: i });
    const length = segment.length - start;
    follow(segment, start + 6, segment.readUInt16BE(start + 4), length);
    segment.writeUInt16BE(length, start + 4);
    return withChecksum(segment, start, start + 6);
  });
}

/** IP fragments of one datagram, whose checksum covers all of it. */
function udpFragments(frame: Buffer, start: number, segmentBytes: number): Buffer[] {
  const whole = Buffer.from(frame);
  whole.writeUInt16BE(0, start + 6);
  const length = frame.length - start;
  const tail = Buffer.from([0, IP_PROTOCOL.udp, length >> 8, length & 255]);
  const covered = Buffer.concat([whole.subarray(26, 34), tail, whole.subarray(start)]);
  whole.writeUInt16BE(internetChecksum(covered) || 0xffff, start + 6);
  if (length <= segmentBytes) return [];
  return cut(whole, start, segmentBytes).map((payload, i, { length: count }) => {
    const more = i + 1 < count ? MORE_FRAGMENTS : 0;
    return withHeaders(whole, start, payload, { fragment: more | ((i * segmentBytes) >> 3) });
  });
}

function cut(frame: Buffer, from: number, bytes: number): Buffer[] {
  const count = Math.ceil((frame.length - from) / bytes);
  return Array.from({ length: count }, (_, i) =>
    frame.subarray(from + i * bytes, Math.min(from + (i + 1) * bytes, frame.length)),
  );
}

/** The headers up to `end` before a part of what follows, with an IPv4 header of their own. */
function withHeaders(
  frame: Buffer,
  end: number,
  payload: Buffer,
  { id = 0, fragment }: { id?: number; fragment?: number },
): Buffer {
  const one = Buffer.concat([frame.subarray(0, end), payload]);
  const header = (one.readUInt8(IPV4_AT) & 15) * 4;
  one.writeUInt16BE(one.length - IPV4_AT, IPV4_AT + 2);
  one.writeUInt16BE((one.readUInt16BE(IPV4_AT + 4) + id) & 0xffff, IPV4_AT + 4);
  if (fragment !== undefined) one.writeUInt16BE(fragment, IPV4_AT + 6);
  one.writeUInt16BE(0, IPV4_AT + 10);
  const sum = internetChecksum(one.subarray(IPV4_AT, IPV4_AT + header));
  one.writeUInt16BE(sum, IPV4_AT + 10);
  return one;
}

/** The sum of a pseudo header when the length in it becomes another. */
function follow(frame: Buffer, at: number, former: number, now: number): void {
  const words = Buffer.alloc(6);
  words.writeUInt16BE(frame.readUInt16BE(at), 0);
  words.writeUInt16BE(~former & 0xffff, 2);
  words.writeUInt16BE(now, 4);
  frame.writeUInt16BE(~internetChecksum(words) & 0xffff, at);
}

function withChecksum(frame: Buffer, start: number, at: number): Buffer {
  const copy = Buffer.from(frame);
  copy.writeUInt16BE(internetChecksum(frame.subarray(start)) || 0xffff, at);
  return copy;
}
