// Hand-made ICMP in Ethernet frames: echoes, and errors that quote a packet. Checksums are right.

import { ethernetFrame, IP_PROTOCOL, internetChecksum, ipv4Packet } from "./frames.js";

/** Values of RFC 792. */
export const ICMP_TYPE = { echoReply: 0, unreachable: 3, echo: 8, timeExceeded: 11 } as const;
export const PORT_UNREACHABLE = 3;

interface IcmpOptions {
  source: string;
  destination: string;
  sourceIp: string;
  destinationIp: string;
  /** Default 64. */
  ttl?: number;
}

export interface IcmpEchoOptions extends IcmpOptions {
  /** Default ICMP_TYPE.echo. */
  type?: number;
  /** Default 0x1234. */
  identifier?: number;
}

export interface IcmpErrorOptions extends IcmpOptions {
  type: number;
  /** Default 0. */
  code?: number;
  /** The packet that the error is about, or its beginning. */
  quote: Uint8Array;
}

/** An ICMP echo in an Ethernet frame. */
export function icmpEchoFrame(options: IcmpEchoOptions): Buffer {
  const { type = ICMP_TYPE.echo, identifier = 0x1234 } = options;
  const head = Buffer.from([type, 0, 0, 0, identifier >> 8, identifier & 255, 0, 1]);
  return icmpFrame(options, Buffer.concat([head, Buffer.from("forknet!")]));
}

/** An ICMP error in an Ethernet frame. */
export function icmpErrorFrame(options: IcmpErrorOptions): Buffer {
  const head = Buffer.from([options.type, options.code ?? 0, 0, 0, 0, 0, 0, 0]);
  return icmpFrame(options, Buffer.concat([head, options.quote]));
}

function icmpFrame({ source, destination, ...ips }: IcmpOptions, icmp: Buffer): Buffer {
  const { sourceIp, destinationIp, ttl } = ips;
  icmp.writeUInt16BE(internetChecksum(icmp), 2);
  const payload = ipv4Packet({
    sourceIp,
    destinationIp,
    protocol: IP_PROTOCOL.icmp,
    payload: icmp,
    ...(ttl !== undefined && { ttl }),
  });
  return ethernetFrame({ source, destination, payload });
}
