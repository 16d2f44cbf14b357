// What the checksums of a frame say: of its IPv4 header, of what that carries, of the header that an
// ICMP error quotes. And the form that one has which is not complete yet.

import { IP_PROTOCOL, internetChecksum } from "./frames.js";

const IP_AT = 14;
const UDP_CHECKSUM_AT = 40;
const ICMP_HEADER_BYTES = 8;
const ICMP_ERRORS: readonly number[] = [3, 4, 5, 11, 12];

/**
 * What the sum over pseudo header, TCP or UDP and payload leaves: 0 when the checksum is right. The
 * packet is whole.
 */
export function transportSum(frame: Buffer): number {
  return internetChecksum(Buffer.concat([pseudoHeader(frame), bodyOf(frame)]));
}

/** A copy of a UDP frame as a guest sends it that leaves its checksum to the network card. */
export function withPendingChecksum(frame: Buffer): Buffer {
  const copy = Buffer.from(frame);
  copy.writeUInt16BE(~internetChecksum(pseudoHeader(frame)) & 0xffff, UDP_CHECKSUM_AT);
  return copy;
}

/** Names of the checksums that are wrong in a frame with a whole IPv4 packet. */
export function wrongChecksums(frame: Buffer): string[] {
  const wrong = isHeaderRight(frame.subarray(IP_AT)) ? [] : ["header"];
  const body = bodyOf(frame);
  if (frame.readUInt8(IP_AT + 9) !== IP_PROTOCOL.icmp)
    return transportSum(frame) === 0 ? wrong : [...wrong, "transport"];
  if (internetChecksum(body) !== 0) wrong.push("icmp");
  const isError = ICMP_ERRORS.includes(body.readUInt8(0));
  if (isError && !isHeaderRight(body.subarray(ICMP_HEADER_BYTES))) wrong.push("quoted header");
  return wrong;
}

function pseudoHeader(frame: Buffer): Buffer {
  const { length } = bodyOf(frame);
  const tail = Buffer.from([0, frame.readUInt8(IP_AT + 9), length >> 8, length & 255]);
  return Buffer.concat([frame.subarray(IP_AT + 12, IP_AT + 20), tail]);
}

function isHeaderRight(packet: Buffer): boolean {
  return internetChecksum(packet.subarray(0, headerBytes(packet))) === 0;
}

/** Short frames may be padded: the length in the header counts. */
function bodyOf(frame: Buffer): Buffer {
  const packet = frame.subarray(IP_AT);
  return packet.subarray(headerBytes(packet), packet.readUInt16BE(2));
}

function headerBytes(packet: Buffer): number {
  return (packet.readUInt8(0) & 15) * 4;
}
