// What a guest may not send: it reaches neither the bridge nor the host, and each frame is counted
// by its reason. The frames of the guard's own tests are judged in memory; these pass through a
// TAP, the shaper and a bridge.

import { beforeEach, expect, it, onTestFinished } from "vitest";
import type { Allocation, DropReason, Network } from "../../dist/index.js";
import { UdpService } from "../../dist/stand-in/udp-service.js";
import * as frames from "../support/frames.js";
import { BRIDGE, openForTest } from "../support/network.js";
import { openOutsidePort } from "../support/outside-port.js";
import { RawTap } from "../support/raw-tap.js";

const COUNT = 7;
const GATEWAY = "10.100.0.1";
const GATEWAY_MAC = "02:00:0a:64:00:01";
const FOREIGN_MAC = "02:00:0a:64:99:99";
const FOREIGN_IP = "10.100.153.153";
const OUTSIDE_IP = "192.0.2.1";
const IPX = 0x8137;
const LOOPBACK_TEST = 0x9000;
const SERVICE_VLAN = 0x88a8;

let network: Network;
let allocation: Allocation;
let guest: RawTap;
let outside: RawTap;
let onHost: UdpService;

beforeEach(async () => {
  network = await openForTest();
  allocation = await network.createAllocation({ instanceId: "a", instanceName: "a" });
  outside = openOutsidePort(BRIDGE);
  guest = new RawTap({ tap: allocation.tap });
  onHost = await UdpService.listen({ host: GATEWAY });
  onTestFinished(async () => {
    guest.close();
    await onHost.close();
  });
});

/**
 * A broadcast that the guest may send: when it is outside, everything sent before has been there.
 */
function fence(): Buffer {
  const { mac, ip } = allocation;
  return frames.arpFrame({
    operation: frames.ARP_OPERATION.request,
    senderMac: mac,
    senderIp: ip,
    targetIp: OUTSIDE_IP,
  });
}

function udp(given: Partial<frames.UdpOptions>): Buffer {
  return frames.udpFrame({
    source: allocation.mac,
    destination: frames.BROADCAST_MAC,
    sourceIp: allocation.ip,
    destinationIp: GATEWAY,
    destinationPort: onHost.port,
    ...given,
  });
}

function arp(given: Partial<frames.ArpOptions>): Buffer {
  const { mac, ip } = allocation;
  return frames.arpFrame({
    operation: frames.ARP_OPERATION.reply,
    source: mac,
    senderMac: mac,
    senderIp: ip,
    targetIp: GATEWAY,
    ...given,
  });
}

function other(etherType: number): Buffer {
  const payload = Buffer.alloc(46);
  return frames.ethernetFrame({
    source: allocation.mac,
    destination: frames.BROADCAST_MAC,
    etherType,
    payload,
  });
}

const DHCP = {
  sourceIp: "0.0.0.0",
  destinationIp: "255.255.255.255",
  sourcePort: 68,
  destinationPort: 67,
};

const forbidden: [what: string, reason: DropReason, make: () => Buffer][] = [
  ["a foreign source MAC to everybody", "mac", () => udp({ source: FOREIGN_MAC })],
  [
    "a foreign source MAC to the gateway",
    "mac",
    () => udp({ source: FOREIGN_MAC, destination: GATEWAY_MAC }),
  ],
  ["the gateway's MAC as source", "mac", () => udp({ source: GATEWAY_MAC })],
  ["a foreign source IP to everybody", "ip", () => udp({ sourceIp: FOREIGN_IP })],
  [
    "a foreign source IP to the gateway",
    "ip",
    () => udp({ sourceIp: FOREIGN_IP, destination: GATEWAY_MAC }),
  ],
  [
    "a source IP outside the subnet",
    "ip",
    () => udp({ sourceIp: OUTSIDE_IP, destination: GATEWAY_MAC }),
  ],
  ["a DHCP discover", "ip", () => udp(DHCP)],
  ["ARP for a foreign IP", "arp", () => arp({ senderIp: FOREIGN_IP })],
  ["ARP for the gateway's IP", "arp", () => arp({ senderIp: GATEWAY })],
  ["ARP with a foreign sender MAC", "arp", () => arp({ senderMac: FOREIGN_MAC })],
  [
    "an ARP probe",
    "arp",
    () => arp({ operation: frames.ARP_OPERATION.request, senderIp: "0.0.0.0" }),
  ],
  ["a VLAN tag", "vlan", () => udp({ vlan: 100 })],
  ["a priority tag, VLAN 0", "vlan", () => udp({ vlan: 0 })],
  ["two VLAN tags", "vlan", () => withServiceTag(udp({ vlan: 100 }))],
  [
    "IPv6",
    "protocol",
    () => frames.ipv6Frame({ source: allocation.mac, destination: frames.BROADCAST_MAC }),
  ],
  ["a BPDU", "protocol", () => frames.bpduFrame({ source: allocation.mac })],
  ["IPX", "protocol", () => other(IPX)],
  ["a loopback test", "protocol", () => other(LOOPBACK_TEST)],
  ["an IPv4 frame that ends in its header", "malformed", () => udp({}).subarray(0, 14 + 12)],
  ["an Ethernet header alone", "malformed", () => udp({}).subarray(0, 14)],
  ["an ARP frame that ends early", "malformed", () => arp({}).subarray(0, 14 + 20)],
];

/** 802.1ad around what is there. */
function withServiceTag(frame: Buffer): Buffer {
  const tag = Buffer.from([SERVICE_VLAN >>> 8, SERVICE_VLAN & 255, 0, 7]);
  return Buffer.concat([frame.subarray(0, 12), tag, frame.subarray(12)]);
}

/** Sends the frames and a fence behind them; what came outside before the fence. */
async function heardOutside(...sent: Buffer[]): Promise<Buffer[]> {
  outside.drain();
  guest.send(...sent, fence());
  return outside.receiveUntil((frame) => frame.equals(fence()));
}

it.each(forbidden)("drops %s, counted as %s", async (_what, reason, make) => {
  const before = network.drops();
  const heard = await heardOutside(...Array.from({ length: COUNT }, make));
  const after = network.drops();
  expect(heard.map((frame) => frame.toString("hex"))).toEqual([]);
  expect(onHost.report().datagrams).toBe(0);
  expect(after).toEqual({ ...before, [reason]: before[reason] + COUNT });
});

it("passes what the guest may send, by the same way", async () => {
  const before = network.drops();
  const heard = await heardOutside(udp({}), arp({}));
  expect(heard).toEqual([udp({}), arp({})]);
  guest.send(udp({ destination: GATEWAY_MAC }));
  await expect.poll(() => onHost.report().datagrams).toBeGreaterThan(0);
  expect(network.drops()).toEqual(before);
});

it("moves no entry of the bridge, whoever the guest says it is", async () => {
  const victim = await network.createAllocation({ instanceId: "b", instanceName: "b" });
  const target = new RawTap({ tap: victim.tap });
  onTestFinished(() => target.close());
  await heardOutside(
    udp({ source: victim.mac }),
    udp({ source: GATEWAY_MAC }),
    arp({ senderIp: victim.ip }),
  );
  const toVictim = {
    source: FOREIGN_MAC,
    destination: victim.mac,
    sourceIp: GATEWAY,
    destinationIp: victim.ip,
  };
  const frame = frames.udpFrame({ ...toVictim, destinationPort: 9 });
  outside.send(frame);
  expect(await target.receive((arrived) => arrived.equals(frame))).toBeDefined();
  expect(guest.drain()).toBe(0);
});
