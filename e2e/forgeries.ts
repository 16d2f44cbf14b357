// Frames that a guest makes up: who it claims to be, and whom it wants to reach. Pure.

import {
  ARP_OPERATION,
  arpFrame,
  BROADCAST_MAC,
  ETHER_TYPE,
  ethernetFrame,
  internetChecksum,
  macBytes,
  udpFrame,
} from "../test/support/frames.js";

export interface Station {
  mac: string;
  ip: string;
}

/** Who the attack is about. `gateway` is the host. */
export interface Cast {
  attacker: Station;
  victim: Station;
  gateway: Station;
  /** An address of the subnet that nobody has. */
  free: Station;
  /** Somewhere in the internet. */
  beyondIp: string;
}

export interface Forgery {
  what: string;
  /** The guard's counter; "" when the guard lets it pass and the isolated port is what holds. */
  reason: string;
  /** Whether the host is one whom the guest may send this to. */
  mayReachHost?: boolean;
  frame: Buffer;
}

const DISCARD_PORT = 9;
const DHCP_SERVER_PORT = 67;
const DHCP_CLIENT_PORT = 68;
const ALL_NODES_MAC = "33:33:00:00:00:01";
const LINK_LOCAL = "fe80000000000000000000000000000b";
const ALL_NODES = "ff020000000000000000000000000001";

/** All attempts, each frame with the mark somewhere. */
export function forgeries({ attacker, victim, gateway, free, beyondIp }: Cast, mark: string) {
  const udp = (source: Station, to: Station, as = attacker.mac): Buffer =>
    udpFrame({
      source: as,
      sourceIp: source.ip,
      destination: to.mac,
      destinationIp: to.ip,
      destinationPort: DISCARD_PORT,
      payload: mark,
    });
  const arp = (claimed: string, to: { mac: string; ip: string }): Buffer => {
    const sender = { senderMac: attacker.mac, senderIp: claimed };
    const target = { targetMac: to.mac, targetIp: to.ip, destination: to.mac };
    const frame = arpFrame({ operation: ARP_OPERATION.reply, ...sender, ...target });
    return Buffer.concat([frame, Buffer.from(mark)]);
  };
  const everyone = { mac: BROADCAST_MAC, ip: gateway.ip };
  const tagged = udpFrame({
    source: attacker.mac,
    sourceIp: attacker.ip,
    destination: gateway.mac,
    destinationIp: gateway.ip,
    destinationPort: DISCARD_PORT,
    vlan: 7,
    payload: mark,
  });
  const list: Forgery[] = [
    {
      what: "control: own MAC and IP, to the gateway",
      reason: "",
      mayReachHost: true,
      frame: udp(attacker, gateway),
    },
    { what: "a MAC that nobody has", reason: "mac", frame: udp(attacker, gateway, free.mac) },
    { what: "another guest's MAC", reason: "mac", frame: udp(attacker, gateway, victim.mac) },
    { what: "an IP that nobody has", reason: "ip", frame: udp(free, gateway) },
    { what: "another guest's IP", reason: "ip", frame: udp(victim, gateway) },
    { what: "another guest's MAC and IP", reason: "mac", frame: udp(victim, gateway, victim.mac) },
    { what: "the gateway's IP, to a guest", reason: "ip", frame: udp(gateway, victim) },
    { what: "ARP: the gateway is here, to all", reason: "arp", frame: arp(gateway.ip, everyone) },
    { what: "ARP: the gateway is here, to a guest", reason: "arp", frame: arp(gateway.ip, victim) },
    { what: "ARP: a guest is here, to the gateway", reason: "arp", frame: arp(victim.ip, gateway) },
    { what: "IPv6 router advertisement", reason: "protocol", frame: advertisement(attacker, mark) },
    { what: "DHCP offer as the gateway", reason: "ip", frame: offer(attacker, gateway.ip, mark) },
    {
      what: "DHCP offer under its own IP",
      reason: "",
      mayReachHost: true,
      frame: offer(attacker, attacker.ip, mark),
    },
    { what: "802.1Q tag", reason: "vlan", frame: tagged },
    { what: "to a guest, bridged", reason: "peer", frame: udp(attacker, victim) },
    {
      what: "to a guest, through the gateway's MAC",
      reason: "peer",
      frame: udp(attacker, { mac: gateway.mac, ip: victim.ip }),
    },
    {
      what: "to a guest's MAC, for an IP outside",
      reason: "",
      frame: udp(attacker, { mac: victim.mac, ip: beyondIp }),
    },
  ];
  return list;
}

/** RFC 4861: a router with a prefix of its own, for an hour. */
function advertisement({ mac }: Station, mark: string): Buffer {
  const router = Buffer.from("8600000040000e100000000000000000", "hex");
  const source = Buffer.concat([Buffer.from([1, 1]), macBytes(mac)]);
  // An option that nobody knows, of 16 bytes: two of its own and the mark.
  const marked = Buffer.alloc(16);
  marked.set([253, 2]);
  marked.write(mark, 2);
  const message = Buffer.concat([router, source, marked]);
  const header = Buffer.from(`60000000000000ff${LINK_LOCAL}${ALL_NODES}`, "hex");
  header.writeUInt16BE(message.length, 4);
  header[6] = 58;
  const length = Buffer.alloc(8);
  length.writeUInt32BE(message.length, 0);
  length[7] = 58;
  message.writeUInt16BE(internetChecksum(Buffer.concat([header.subarray(8), length, message])), 2);
  return ethernetFrame({
    source: mac,
    destination: ALL_NODES_MAC,
    etherType: ETHER_TYPE.ipv6,
    payload: Buffer.concat([header, message]),
  });
}

/** RFC 2131: an offer to whoever asks. The mark stands where the server's name does. */
function offer({ mac }: Station, sourceIp: string, mark: string): Buffer {
  const fixed = Buffer.alloc(236);
  fixed.set([2, 1, 6, 0]);
  fixed.write(mark, 44);
  const options = Buffer.from("63825363350102ff", "hex");
  return udpFrame({
    source: mac,
    sourceIp,
    sourcePort: DHCP_SERVER_PORT,
    destination: BROADCAST_MAC,
    destinationIp: "255.255.255.255",
    destinationPort: DHCP_CLIENT_PORT,
    payload: Buffer.concat([fixed, options]),
  });
}
