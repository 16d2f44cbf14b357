// Frames with a virtio header before them, honest ones and lies, on which checksum-trial.ts tries a
// guard; and whether the checksum of one that came through is right.

import type { Ipv4, Mac } from "../kernel/messages.js";

/** What is sent, and what has to become of it. */
export interface TrialFrame {
  name: string;
  /** Virtio header and frame. */
  bytes: Buffer;
  /** How many frames come of it when it passes; 0: it may not. */
  passes: number;
  isPending: boolean;
}

export const TRIAL_IP: Ipv4 = 0xc000_0202;
export const TRIAL_MAC: Mac = 0x0200_c000_0202;

const VIRTIO_HEADER_BYTES = 10;
const NEEDS_CHECKSUM = 1;
const GSO_TCP4 = 1;
const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;
const TYPE_IPV4 = 0x0800;
const TYPE_ARP = 0x0806;
const ARP_BYTES = 28;
const TCP = { protocol: 6, bytes: 20, checksumAt: 16 };
const UDP = { protocol: 17, bytes: 8, checksumAt: 6 };
const ICMP = { protocol: 1, bytes: 8, checksumAt: 2 };
const MORE_FRAGMENTS = 0x2000;
const OTHER_IP: Ipv4 = 0xc633_6407;
const TTL = 64;
const SEGMENT_BYTES = 100;

interface Virtio {
  /** Where the host begins to sum, and how far behind that it writes: NEEDS_CSUM. */
  checksum?: { start: number; offset: number };
  /** TSO with segments of this many bytes. */
  segmentBytes?: number;
}

export function trialFrames(): TrialFrame[] {
  const at = (options: number, { checksumAt }: typeof TCP) => ({
    checksum: { start: ETHERNET_BYTES + IPV4_BYTES + options, offset: checksumAt },
  });
  const segments = { segmentBytes: SEGMENT_BYTES };
  const frame = (name: string, passes: number, virtio: Virtio, bytes: Buffer): TrialFrame => {
    const isPending = virtio.checksum !== undefined;
    return { name, passes, isPending, bytes: Buffer.concat([virtioHeader(virtio), bytes]) };
  };
  return [
    frame("a complete UDP frame", 1, {}, packet(UDP, { isComplete: true })),
    frame("a UDP frame with a pending checksum", 1, at(0, UDP), packet(UDP)),
    frame("one of TCP, behind an IP option", 1, at(4, TCP), packet(TCP, { options: 4 })),
    frame("TCP segments", 2, { ...at(0, TCP), ...segments }, packet(TCP)),
    frame("a checksum in a UDP port", 0, { checksum: { start: 34, offset: 2 } }, packet(UDP)),
    frame("a checksum in a TCP port", 0, { checksum: { start: 34, offset: 0 } }, packet(TCP)),
    frame("a checksum in an ARP frame", 0, { checksum: { start: 34, offset: 0 } }, arp()),
    frame("a checksum in an ICMP packet", 0, at(0, ICMP), packet(ICMP)),
    frame("a checksum in a fragment", 0, at(0, UDP), packet(UDP, { flags: MORE_FRAGMENTS })),
    frame("segments with a complete checksum", 0, segments, packet(TCP, { isComplete: true })),
  ];
}

/** Of a TCP or UDP packet of the trial's. */
export function isChecksumRight(frame: Buffer): boolean {
  const header = (frame.readUInt8(ETHERNET_BYTES) & 15) * 4;
  const end = ETHERNET_BYTES + frame.readUInt16BE(ETHERNET_BYTES + 2);
  const body = frame.subarray(ETHERNET_BYTES + header, end);
  return sum(Buffer.concat([pseudoHeader(frame, body.length), body])) === 0xffff;
}

/** Whether it is one of the trial's that came through: other frames leave by a new link, too. */
export function isOfTrial(frame: Buffer): boolean {
  return frame.length > ETHERNET_BYTES && frame.readUIntBE(6, 6) === TRIAL_MAC;
}

function virtioHeader({ checksum, segmentBytes }: Virtio): Buffer {
  const header = Buffer.alloc(VIRTIO_HEADER_BYTES);
  if (checksum) {
    header.writeUInt8(NEEDS_CHECKSUM, 0);
    header.writeUInt16LE(checksum.start, 6);
    header.writeUInt16LE(checksum.offset, 8);
  }
  if (segmentBytes) {
    header.writeUInt8(GSO_TCP4, 1);
    header.writeUInt16LE(ETHERNET_BYTES + IPV4_BYTES + TCP.bytes, 2);
    header.writeUInt16LE(segmentBytes, 4);
  }
  return header;
}

function ethernet(type: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(ETHERNET_BYTES, 0xff);
  header.writeUIntBE(TRIAL_MAC, 6, 6);
  header.writeUInt16BE(type, 12);
  return Buffer.concat([header, payload]);
}

function arp(): Buffer {
  const request = Buffer.alloc(ARP_BYTES);
  request.write("0001080006040001", "hex");
  request.writeUIntBE(TRIAL_MAC, 8, 6);
  request.writeUInt32BE(TRIAL_IP, 14);
  request.writeUInt32BE(OTHER_IP, 24);
  return ethernet(TYPE_ARP, request);
}

/** Two segments' worth of payload. The checksum is complete, or that of the pseudo header alone. */
function packet(
  { protocol, bytes, checksumAt }: typeof TCP,
  { options = 0, flags = 0, isComplete = false } = {},
): Buffer {
  const body = Buffer.alloc(bytes + 2 * SEGMENT_BYTES, 0x5a);
  if (protocol === TCP.protocol) body.writeUInt16BE((TCP.bytes / 4) << 12, 12);
  else if (protocol === UDP.protocol) body.writeUInt16BE(body.length, 4);
  // Options that are no more than their own end.
  const header = Buffer.alloc(IPV4_BYTES + options);
  header.writeUInt8(0x40 | (header.length / 4), 0);
  header.writeUInt16BE(header.length + body.length, 2);
  header.writeUInt16BE(flags, 6);
  header.writeUInt8(TTL, 8);
  header.writeUInt8(protocol, 9);
  header.writeUInt32BE(TRIAL_IP, 12);
  header.writeUInt32BE(OTHER_IP, 16);
  header.writeUInt16BE(~sum(header) & 0xffff, 10);
  const frame = ethernet(TYPE_IPV4, Buffer.concat([header, body]));
  const field = ETHERNET_BYTES + header.length + checksumAt;
  const pseudo = pseudoHeader(frame, body.length);
  frame.writeUInt16BE(sum(pseudo), field);
  if (!isComplete) return frame;
  frame.writeUInt16BE(0, field);
  const covered = frame.subarray(ETHERNET_BYTES + header.length);
  frame.writeUInt16BE(~sum(Buffer.concat([pseudo, covered])) & 0xffff || 0xffff, field);
  return frame;
}

function pseudoHeader(frame: Buffer, bytes: number): Buffer {
  const ips = frame.subarray(ETHERNET_BYTES + 12, ETHERNET_BYTES + 20);
  const protocol = frame.readUInt8(ETHERNET_BYTES + 9);
  return Buffer.concat([ips, Buffer.from([0, protocol, bytes >> 8, bytes & 0xff])]);
}

/** RFC 1071, not complemented. */
function sum(data: Buffer): number {
  let total = 0;
  for (let at = 0; at < data.length; at += 2)
    total += (data.readUInt8(at) << 8) | (data[at + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}
