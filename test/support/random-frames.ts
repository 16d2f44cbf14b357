// Frames as a guest or its bridge might send them, made of a seed: mostly right, sometimes damaged.

import type { IdentityFields } from "./bpf-programs.js";
import {
  ARP_OPERATION,
  arpFrame,
  BROADCAST_MAC,
  ethernetFrame,
  IP_PROTOCOL,
  internetChecksum,
  ipBytes,
} from "./frames.js";

const ICMP_TYPES = [0, 3, 3, 4, 5, 8, 11, 12] as const;
const OTHER_IP = "198.51.100.7";
const OTHER_MAC = "02:00:0a:64:00:77";
const SCTP = 132;
const UDP_LITE = 136;
const PROTOCOLS = [
  IP_PROTOCOL.tcp,
  IP_PROTOCOL.udp,
  IP_PROTOCOL.udp,
  IP_PROTOCOL.icmp,
  IP_PROTOCOL.icmp,
  UDP_LITE,
  SCTP,
] as const;

/** mulberry32: the same numbers for the same seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to below `end`. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % end;
  }

  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }

  of<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T;
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }
}

/** One end of a packet. */
interface End {
  ip: string;
  mac: string;
}

/** A frame from the guest that believes to be `self`, or to the one that is. */
export function randomFrame(random: Random, self: IdentityFields, isSent: boolean): Buffer {
  const guest: End = { ip: self.ip, mac: self.mac };
  const gateway: End = { ip: self.gateway, mac: self.gatewayMac };
  const other = random.of([gateway, gateway, { ip: OTHER_IP, mac: gateway.mac }]);
  const peer = random.chance(20) ? { ip: "10.100.0.9", mac: OTHER_MAC } : other;
  const [source, destination] = isSent ? [guest, peer] : [peer, guest];
  const frame = random.chance(6)
    ? randomArp(random, source, destination)
    : ethernetFrame({
        source: source.mac,
        destination: random.chance(20) ? BROADCAST_MAC : destination.mac,
        payload: randomPacket(random, source.ip, destination.ip),
      });
  return random.chance(4) ? damaged(random, frame) : frame;
}

function randomArp(random: Random, sender: End, target: End): Buffer {
  return arpFrame({
    operation: random.of([ARP_OPERATION.request, ARP_OPERATION.reply]),
    senderMac: sender.mac,
    senderIp: sender.ip,
    targetIp: random.chance(4) ? sender.ip : target.ip,
    ...(random.chance(2) && { targetMac: target.mac, destination: target.mac }),
  });
}

function randomPacket(random: Random, source: string, destination: string, depth = 0): Buffer {
  const protocol = random.of(PROTOCOLS);
  const ips = Buffer.concat([ipBytes(source), ipBytes(destination)]);
  const body =
    protocol === IP_PROTOCOL.icmp
      ? randomIcmp(random, source, destination, depth)
      : randomTransport(random, protocol, ips);
  const header = Buffer.alloc(random.chance(5) ? 24 + 4 * random.below(9) : 20);
  header[0] = 0x40 + header.length / 4;
  header.writeUInt16BE(header.length + body.length, 2);
  // Sometimes more fragments, sometimes a later one.
  header.writeUInt16BE(random.of([0, 0, 0, 0x4000, 0x2000, 0x2010, 0x00b9]), 6);
  header[8] = 1 + random.below(255);
  header[9] = protocol;
  ips.copy(header, 12);
  header.writeUInt16BE(internetChecksum(header), 10);
  return Buffer.concat([header, body]);
}

function randomTransport(random: Random, protocol: number, ips: Buffer): Buffer {
  const at = protocol === IP_PROTOCOL.tcp ? 16 : 6;
  const header = protocol === IP_PROTOCOL.tcp ? 20 : 8;
  const body = random.bytes(header + random.below(random.chance(3) ? 400 : 40));
  if (protocol === IP_PROTOCOL.udp) body.writeUInt16BE(body.length, 4);
  else if (protocol === IP_PROTOCOL.tcp && !random.chance(3)) body.writeUInt8(5 << 4, 12);
  body.writeUInt16BE(0, at);
  if (protocol === SCTP || (protocol === IP_PROTOCOL.udp && random.chance(6))) return body;
  const pseudo = Buffer.concat([ips, Buffer.from([0, protocol, 0, body.length])]);
  const sum = internetChecksum(Buffer.concat([pseudo, body]));
  // Also the sum of the pseudo header alone, which is how a pending one looks.
  const pending = random.chance(8) ? ~internetChecksum(pseudo) & 0xffff : sum;
  body.writeUInt16BE(pending || 0xffff, at);
  return body;
}

/** What it quotes went the other way, and is cut where most routers cut it. */
function randomIcmp(random: Random, source: string, destination: string, depth: number): Buffer {
  const type = depth > 0 ? 8 : random.of(ICMP_TYPES);
  const quoted = randomPacket(random, destination, source, depth + 1);
  const kept = random.of([28, quoted.length, 20 + random.below(40)]);
  const body = Buffer.concat([Buffer.from([type, random.below(6), 0, 0]), random.bytes(4)]);
  const icmp = Buffer.concat([body, quoted.subarray(0, kept)]);
  icmp.writeUInt16BE(internetChecksum(icmp), 2);
  return icmp;
}

function damaged(random: Random, frame: Buffer): Buffer {
  const copy = Buffer.from(frame);
  for (let left = random.below(3); left > 0; left--) {
    const at = random.below(Math.min(copy.length, 80));
    copy.writeUInt8(copy.readUInt8(at) ^ (1 << random.below(8)), at);
  }
  return random.chance(2) ? copy.subarray(0, 15 + random.below(copy.length - 15)) : copy;
}
