// Frames that end too early: first fragments without the checksum that a translation has to follow,
// and ICMP errors that quote no header.

import { ethernetFrame, internetChecksum, ipv4Packet, type UdpOptions } from "./frames.js";
import { ICMP_TYPE, icmpErrorFrame } from "./icmp-frames.js";

export type Ends = Pick<UdpOptions, "source" | "destination" | "sourceIp" | "destinationIp">;

/** Bytes of a transport header up to the end of its checksum. */
export const CHECKSUM_END = { tcp: 18, udp: 8 } as const;

const UDP = 17;
const FRAGMENT_AT = 20;
const HEADER_CHECKSUM_AT = 24;
const MORE_FRAGMENTS = 0x2000;
const QUOTED_BYTES = 8;

/** The first fragment of a packet, with so few bytes behind its header. */
export function tinyFragment(ends: Ends, protocol: number, bytes: number): Buffer {
  const { source, destination, ...ips } = ends;
  const packet = ipv4Packet({ ...ips, protocol, payload: Buffer.alloc(bytes, 0x5a) });
  const frame = ethernetFrame({ source, destination, payload: packet });
  frame.writeUInt16BE(MORE_FRAGMENTS, FRAGMENT_AT);
  frame.writeUInt16BE(0, HEADER_CHECKSUM_AT);
  frame.writeUInt16BE(internetChecksum(frame.subarray(14, 34)), HEADER_CHECKSUM_AT);
  return frame;
}

/**
 * An ICMP error about a packet that went the other way, whose header begins with the byte `first`;
 * `quoteBytes` of it, or all.
 */
export function errorAbout(ends: Ends, first: number, quoteBytes?: number): Buffer {
  const ips = { sourceIp: ends.destinationIp, destinationIp: ends.sourceIp };
  const packet = ipv4Packet({ ...ips, protocol: UDP, payload: Buffer.alloc(QUOTED_BYTES) });
  packet.writeUInt8(first, 0);
  const quote = packet.subarray(0, quoteBytes);
  return icmpErrorFrame({ ...ends, type: ICMP_TYPE.unreachable, quote });
}
