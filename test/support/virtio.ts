// The virtio header that a guest's card writes before each frame: what it leaves to the host. And
// the forgery that this allows where nobody looks: a checksum that comes out as something else.

import { internetChecksum } from "./frames.js";

export const VIRTIO_HEADER_BYTES = 10;
/** VIRTIO_NET_HDR_GSO_*. */
export const GSO = { none: 0, tcp4: 1, udp: 3, tcp6: 4, udpL4: 5, ecn: 0x80 } as const;

const NEEDS_CHECKSUM = 1;

export interface VirtioFields {
  /** The host sums from `start` to the end of the frame, and writes the checksum at `at`. */
  checksum?: { start: number; at: number };
  /** One of GSO. */
  gsoType?: number;
  segmentBytes?: number;
  /** hdr_len: how much of the frame the guest wants in one piece. */
  linearBytes?: number;
}

export function virtioHeader(fields: VirtioFields): Buffer {
  const { checksum, gsoType = GSO.none, segmentBytes = 0, linearBytes = 0 } = fields;
  const header = Buffer.alloc(VIRTIO_HEADER_BYTES);
  header.writeUInt8(checksum ? NEEDS_CHECKSUM : 0, 0);
  header.writeUInt8(gsoType, 1);
  header.writeUInt16LE(linearBytes, 2);
  header.writeUInt16LE(segmentBytes, 4);
  header.writeUInt16LE(checksum?.start ?? 0, 6);
  header.writeUInt16LE((checksum?.at ?? 0) - (checksum?.start ?? 0), 8);
  return header;
}

/**
 * The two bytes at the end of a frame of even length, zeros so far, that make the checksum from `start`
 * to the end come out as `value`.
 */
export function paddingFor(frame: Buffer, start: number, value: number): Buffer {
  const missing = (~value & 0xffff) + internetChecksum(frame.subarray(start));
  const padding = Buffer.alloc(2);
  padding.writeUInt16BE((missing & 0xffff) + (missing >>> 16));
  return padding;
}
