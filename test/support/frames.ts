// Hand-made Ethernet frames with right checksums, and a small parser for what comes back.
// Independent of src/: a shared mistake in byte order would hide itself. Addresses are text here.

/** Well-known values, so that a test reads like its RFC. */
export const ETHER_TYPE = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd } as const;
export const IP_PROTOCOL = { icmp: 1, tcp: 6, udp: 17 } as const;
export const ARP_OPERATION = { request: 1, reply: 2 } as const;
export const BROADCAST_MAC = "ff:ff:ff:ff:ff:ff";
export const ZERO_MAC = "00:00:00:00:00:00";
/** Where spanning-tree BPDUs go. */
export const BPDU_MAC = "01:80:c2:00:00:00";

const ETHERNET_HEADER_BYTES = 14;
const IPV4_HEADER_BYTES = 20;
const UDP_HEADER_BYTES = 8;

/** "02:00:0a:00:00:01" as six bytes. */
export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(":", ""), "hex");
}

/** "10.0.0.1" as four bytes. */
export function ipBytes(ip: string): Buffer {
  return Buffer.from(ip.split(".").map(Number));
}

/** The Internet checksum (RFC 1071). Over data that holds its own checksum the result is 0. */
export function internetChecksum(data: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < data.length; i += 2) sum += ((data[i] ?? 0) << 8) | (data[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export interface EthernetOptions {
  source: string;
  destination: string;
  /** Default ETHER_TYPE.ipv4. */
  etherType?: number;
  /** 802.1Q tag before the type: the VLAN id. */
  vlan?: number;
  payload: Uint8Array;
}

/** An Ethernet frame without its check sequence. Not padded: a TAP takes short frames. */
export function ethernetFrame(options: EthernetOptions): Buffer {
  const type = Buffer.alloc(2);
  type.writeUInt16BE(options.etherType ?? ETHER_TYPE.ipv4);
  const tag = Buffer.alloc(options.vlan === undefined ? 0 : 4);
  if (options.vlan !== undefined) {
    tag.writeUInt16BE(ETHER_TYPE.vlan);
    tag.writeUInt16BE(options.vlan, 2);
  }
  return Buffer.concat([
    macBytes(options.destination),
    macBytes(options.source),
    tag,
    type,
    options.payload,
  ]);
}

export interface ArpOptions {
  operation: number;
  senderMac: string;
  senderIp: string;
  /** Default ZERO_MAC. */
  targetMac?: string;
  targetIp: string;
  /** Of the Ethernet header; default: the sender's. Differs when a guest lies. */
  source?: string;
  /** Of the Ethernet header; default broadcast. */
  destination?: string;
}

/** ARP in an Ethernet frame. */
export function arpFrame(options: ArpOptions): Buffer {
  const head = Buffer.from([0, 1, 8, 0, 6, 4, 0, options.operation]);
  const sender = [macBytes(options.senderMac), ipBytes(options.senderIp)];
  const target = [macBytes(options.targetMac ?? ZERO_MAC), ipBytes(options.targetIp)];
  return ethernetFrame({
    source: options.source ?? options.senderMac,
    destination: options.destination ?? BROADCAST_MAC,
    etherType: ETHER_TYPE.arp,
    payload: Buffer.concat([head, ...sender, ...target]),
  });
}

export interface Ipv4Options {
  sourceIp: string;
  destinationIp: string;
  protocol: number;
  /** Default 64. */
  ttl?: number;
  payload: Uint8Array;
}

/** An IPv4 packet with its header checksum. */
export function ipv4Packet(options: Ipv4Options): Buffer {
  const header = Buffer.alloc(IPV4_HEADER_BYTES);
  header[0] = 0x45;
  header.writeUInt16BE(IPV4_HEADER_BYTES + options.payload.length, 2);
  header[8] = options.ttl ?? 64;
  header[9] = options.protocol;
  ipBytes(options.sourceIp).copy(header, 12);
  ipBytes(options.destinationIp).copy(header, 16);
  header.writeUInt16BE(internetChecksum(header), 10);
  return Buffer.concat([header, options.payload]);
}

export interface UdpOptions {
  source: string;
  destination: string;
  sourceIp: string;
  destinationIp: string;
  /** Default 4000. */
  sourcePort?: number;
  destinationPort: number;
  vlan?: number;
  ttl?: number;
  /** Text or bytes; default "forknet". */
  payload?: string | Uint8Array;
}

/** UDP over IPv4 in an Ethernet frame, both checksums right. */
export function udpFrame(options: UdpOptions): Buffer {
  const data = Buffer.from(options.payload ?? "forknet");
  const udp = Buffer.concat([Buffer.alloc(UDP_HEADER_BYTES), data]);
  udp.writeUInt16BE(options.sourcePort ?? 4000, 0);
  udp.writeUInt16BE(options.destinationPort, 2);
  udp.writeUInt16BE(udp.length, 4);
  // 0 means "no checksum" on the wire; its other form is 0xffff.
  udp.writeUInt16BE(
    internetChecksum(Buffer.concat([pseudoHeader(options, udp.length), udp])) || 0xffff,
    6,
  );
  const { sourceIp, destinationIp, ttl } = options;
  const payload = ipv4Packet({
    sourceIp,
    destinationIp,
    protocol: IP_PROTOCOL.udp,
    payload: udp,
    ...(ttl !== undefined && { ttl }),
  });
  const { source, destination, vlan } = options;
  return ethernetFrame({ source, destination, payload, ...(vlan !== undefined && { vlan }) });
}

function pseudoHeader(ips: { sourceIp: string; destinationIp: string }, udpBytes: number): Buffer {
  const tail = Buffer.from([0, IP_PROTOCOL.udp, udpBytes >>> 8, udpBytes & 0xff]);
  return Buffer.concat([ipBytes(ips.sourceIp), ipBytes(ips.destinationIp), tail]);
}

/** A minimal IPv6 frame (no next header) from one link-local address to another. */
export function ipv6Frame(options: { source: string; destination: string }): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header[6] = 59;
  header[7] = 255;
  Buffer.from("fe80000000000000000000000000000b", "hex").copy(header, 8);
  Buffer.from("fe800000000000000000000000000001", "hex").copy(header, 24);
  return ethernetFrame({ ...options, etherType: ETHER_TYPE.ipv6, payload: header });
}

/**
 * A spanning-tree configuration BPDU that claims to be the root: LLC in an 802.3 frame, so the type
 * is a length.
 */
export function bpduFrame(options: { source: string }): Buffer {
  const bridgeId = Buffer.concat([Buffer.from([0, 0]), macBytes(options.source)]);
  const times = Buffer.from([0, 0, 20, 0, 2, 0, 15, 0]);
  const bpdu = Buffer.concat([
    Buffer.alloc(5),
    bridgeId,
    Buffer.alloc(4),
    bridgeId,
    Buffer.from([0x80, 1]),
    times,
  ]);
  const payload = Buffer.concat([Buffer.from([0x42, 0x42, 3]), bpdu]);
  return ethernetFrame({
    source: options.source,
    destination: BPDU_MAC,
    etherType: payload.length,
    payload,
  });
}

/** What a test asks about a frame; the layers that are not there are absent. */
export interface ParsedFrame {
  destination: string;
  source: string;
  etherType: number;
  vlan?: number;
  arp?: {
    operation: number;
    senderMac: string;
    senderIp: string;
    targetMac: string;
    targetIp: string;
  };
  ipv4?: {
    sourceIp: string;
    destinationIp: string;
    protocol: number;
    ttl: number;
    isHeaderIntact: boolean;
  };
  udp?: { sourcePort: number; destinationPort: number; payload: Buffer; isIntact: boolean };
  icmp?: { type: number };
}

/**
 * Reads a frame as far as it understands it. Throws a RangeError on one that is too short for its
 * headers.
 */
export function parseFrame(frame: Buffer): ParsedFrame {
  const parsed: ParsedFrame = {
    destination: macText(frame.subarray(0, 6)),
    source: macText(frame.subarray(6, 12)),
    etherType: frame.readUInt16BE(12),
  };
  let offset = ETHERNET_HEADER_BYTES;
  if (parsed.etherType === ETHER_TYPE.vlan) {
    parsed.vlan = frame.readUInt16BE(14) & 0xfff;
    parsed.etherType = frame.readUInt16BE(16);
    offset += 4;
  }
  const payload = frame.subarray(offset);
  if (parsed.etherType === ETHER_TYPE.arp) parsed.arp = parseArp(payload);
  if (parsed.etherType === ETHER_TYPE.ipv4) parseIpv4(payload, parsed);
  return parsed;
}

function parseArp(packet: Buffer): NonNullable<ParsedFrame["arp"]> {
  return {
    operation: packet.readUInt16BE(6),
    senderMac: macText(packet.subarray(8, 14)),
    senderIp: [...packet.subarray(14, 18)].join("."),
    targetMac: macText(packet.subarray(18, 24)),
    targetIp: [...packet.subarray(24, 28)].join("."),
  };
}

function parseIpv4(packet: Buffer, parsed: ParsedFrame): void {
  const headerBytes = (packet.readUInt8(0) & 15) * 4;
  const ipv4 = {
    sourceIp: [...packet.subarray(12, 16)].join("."),
    destinationIp: [...packet.subarray(16, 20)].join("."),
    protocol: packet.readUInt8(9),
    ttl: packet.readUInt8(8),
    isHeaderIntact: internetChecksum(packet.subarray(0, headerBytes)) === 0,
  };
  parsed.ipv4 = ipv4;
  // Short frames may be padded: the length in the header counts.
  const body = packet.subarray(headerBytes, packet.readUInt16BE(2));
  if (ipv4.protocol === IP_PROTOCOL.icmp) parsed.icmp = { type: body.readUInt8(0) };
  if (ipv4.protocol !== IP_PROTOCOL.udp) return;
  parsed.udp = {
    sourcePort: body.readUInt16BE(0),
    destinationPort: body.readUInt16BE(2),
    payload: body.subarray(UDP_HEADER_BYTES),
    isIntact: internetChecksum(Buffer.concat([pseudoHeader(ipv4, body.length), body])) === 0,
  };
}

function macText(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
