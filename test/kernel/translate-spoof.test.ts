// What a translated guest may not send, and what may not reach it: no such frame arrives, and each is
// counted by its reason. Real frames, through a TAP, the shaper and a bridge; what the programs make
// of random ones is in translate-model.test.ts.

import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, DropReason, Network } from "../../dist/index.js";
import { UdpService } from "../../dist/stand-in/udp-service.js";
import { CHECKSUM_END, type Ends, errorAbout, tinyFragment } from "../support/bad-frames.js";
import { BRIDGE_NETFILTER, setBridgeNetfilter } from "../support/bridge-netfilter.js";
import { FROM_CLONE, forkClones, SNAPSHOT } from "../support/clones.js";
import * as frames from "../support/frames.js";
import { patched } from "../support/guard-under-test.js";
import { BRIDGE, openForTest, testOptions } from "../support/network.js";
import { openOutsidePort } from "../support/outside-port.js";
import { RawTap } from "../support/raw-tap.js";
import { expectNoChecksumErrors } from "../support/stack-errors.js";

const COUNT = 7;
const GATEWAY = "10.100.0.1";
const GATEWAY_MAC = "02:00:0a:64:00:01";
const OUTSIDE_MAC = "02:00:00:00:00:77";
const OUTSIDE_IP = "10.100.255.77";
const FAR_IP = "192.0.2.1";
const HEADER_AT = 14;
/** More than a page, so that a guest may ask for less of it in one piece. */
const LARGE_BYTES = 9000;
const { tcp, udp } = frames.IP_PROTOCOL;

let network: Network;
let clone: Allocation;
let peer: Allocation;
let guest: RawTap;
let outside: RawTap;
let onHost: UdpService;

beforeEach(async () => {
  // With it the host drops some of these frames before they are at a TAP.
  setBridgeNetfilter(BRIDGE_NETFILTER[0] ?? "absent");
  network = await openForTest(testOptions({ translate: true }));
  [clone, peer] = (await forkClones(network, 2)) as [Allocation, Allocation];
  outside = openOutsidePort(BRIDGE);
  guest = new RawTap({ tap: clone.tap });
  onHost = await UdpService.listen({ host: GATEWAY });
  onTestFinished(async () => {
    guest.close();
    await onHost.close();
  });
});

/** From the clone as it sees itself. */
function sent(given: Partial<frames.UdpOptions> = {}): Buffer {
  const ends = {
    ...FROM_CLONE,
    destination: frames.BROADCAST_MAC,
    destinationIp: SNAPSHOT.gateway,
  };
  return frames.udpFrame({ ...ends, destinationPort: onHost.port, ...given });
}

function sentArp(given: Partial<frames.ArpOptions>): Buffer {
  const { mac, ip, gateway } = SNAPSHOT;
  const sender = { source: mac, senderMac: mac, senderIp: ip };
  const operation = frames.ARP_OPERATION.reply;
  return frames.arpFrame({ operation, ...sender, targetIp: gateway, ...given });
}

/** To the clone as others see it. */
function toClone(): Ends {
  const { mac: destination, ip: destinationIp } = clone;
  return { source: OUTSIDE_MAC, destination, sourceIp: OUTSIDE_IP, destinationIp };
}

function arriving(given: Partial<frames.UdpOptions> = {}): Buffer {
  return frames.udpFrame({ ...toClone(), destinationPort: 9, ...given });
}

function arrivingArp(targetIp: string): Buffer {
  return frames.arpFrame({
    operation: frames.ARP_OPERATION.request,
    senderMac: OUTSIDE_MAC,
    senderIp: OUTSIDE_IP,
    targetIp,
    destination: clone.mac,
  });
}

const sentEnds = (): Ends => ({
  ...FROM_CLONE,
  destination: frames.BROADCAST_MAC,
  destinationIp: FAR_IP,
});

type Case = [what: string, reason: DropReason, make: () => Buffer];

const fromGuest: Case[] = [
  ["its own outer IP", "ip", () => sent({ sourceIp: clone.ip })],
  ["a peer's outer IP", "ip", () => sent({ sourceIp: peer.ip })],
  ["its gateway's IP", "ip", () => sent({ sourceIp: SNAPSHOT.gateway })],
  ["the network's gateway as source", "ip", () => sent({ sourceIp: GATEWAY })],
  ["its own outer MAC", "mac", () => sent({ source: clone.mac })],
  ["its own outer identity", "mac", () => sent({ source: clone.mac, sourceIp: clone.ip })],
  ["a peer's outer MAC", "mac", () => sent({ source: peer.mac })],
  ["its gateway's MAC", "mac", () => sent({ source: SNAPSHOT.gatewayMac })],
  ["the network's gateway's MAC", "mac", () => sent({ source: GATEWAY_MAC })],
  ["ARP for its own outer IP", "arp", () => sentArp({ senderIp: clone.ip })],
  ["ARP for a peer's outer IP", "arp", () => sentArp({ senderIp: peer.ip })],
  ["ARP for its gateway's IP", "arp", () => sentArp({ senderIp: SNAPSHOT.gateway })],
  ["ARP with its own outer MAC", "arp", () => sentArp({ senderMac: clone.mac })],
  ["a packet to a peer", "peer", () => sent({ destinationIp: peer.ip })],
  ["a tiny TCP fragment", "untranslatable", () => tinyFragment(sentEnds(), tcp, 8)],
  [
    "TCP that ends in its checksum",
    "untranslatable",
    () => tinyFragment(sentEnds(), tcp, CHECKSUM_END.tcp - 1),
  ],
  [
    "UDP that ends in its checksum",
    "untranslatable",
    () => tinyFragment(sentEnds(), udp, CHECKSUM_END.udp - 1),
  ],
  ["an error that quotes half a header", "untranslatable", () => errorAbout(sentEnds(), 0x45, 12)],
  ["an error that quotes IPv6", "untranslatable", () => errorAbout(sentEnds(), 0x65)],
  ["an error that quotes a short header", "untranslatable", () => errorAbout(sentEnds(), 0x44)],
  ["a header length of 4 words", "malformed", () => patched(sent(), HEADER_AT, 0x44)],
  ["a header length of 0", "malformed", () => patched(sent(), HEADER_AT, 0x40)],
  ["IP version 6 under IPv4's type", "malformed", () => patched(sent(), HEADER_AT, 0x65)],
  ["a header longer than the frame", "malformed", () => patched(sent(), HEADER_AT, 0x4f)],
  ["a frame that ends in its header", "malformed", () => sent().subarray(0, 33)],
  ["ARP that ends early", "malformed", () => sentArp({}).subarray(0, 41)],
  ["a VLAN tag", "vlan", () => sent({ vlan: 100 })],
  ["a priority tag", "vlan", () => sent({ vlan: 0 })],
  [
    "IPv6",
    "protocol",
    () => frames.ipv6Frame({ source: SNAPSHOT.mac, destination: frames.BROADCAST_MAC }),
  ],
  ["a BPDU", "protocol", () => frames.bpduFrame({ source: SNAPSHOT.mac })],
];

const toGuest: Case[] = [
  ["a peer's packet", "gate_foreign", () => arriving({ destinationIp: peer.ip })],
  ["one for its inner address", "gate_foreign", () => arriving({ destinationIp: SNAPSHOT.ip })],
  ["ARP that asks for a peer", "gate_foreign", () => arrivingArp(peer.ip)],
  ["ARP that asks for its inner address", "gate_foreign", () => arrivingArp(SNAPSHOT.ip)],
  ["a VLAN tag", "gate_foreign", () => arriving({ vlan: 100 })],
  ["a priority tag", "gate_foreign", () => arriving({ vlan: 0 })],
  ["IPv6", "gate_foreign", () => frames.ipv6Frame({ source: OUTSIDE_MAC, destination: clone.mac })],
  [
    "a BPDU to its address alone",
    "gate_foreign",
    () => patched(frames.bpduFrame({ source: OUTSIDE_MAC }), 0, ...frames.macBytes(clone.mac)),
  ],
  ["a header length of 4 words", "gate_malformed", () => patched(arriving(), HEADER_AT, 0x44)],
  ["IP version 6 under IPv4's type", "gate_malformed", () => patched(arriving(), HEADER_AT, 0x65)],
  ["a header longer than the frame", "gate_malformed", () => patched(arriving(), HEADER_AT, 0x4f)],
  ["a frame that ends in its header", "gate_malformed", () => arriving().subarray(0, 33)],
  ["ARP that ends early", "gate_malformed", () => arrivingArp(clone.ip).subarray(0, 41)],
  ["a tiny TCP fragment", "untranslatable", () => tinyFragment(toClone(), tcp, 8)],
  [
    "UDP that ends in its checksum",
    "untranslatable",
    () => tinyFragment(toClone(), udp, CHECKSUM_END.udp - 1),
  ],
  ["an error that quotes half a header", "untranslatable", () => errorAbout(toClone(), 0x45, 12)],
];

/** Sends the frames, and one that passes behind them; what came outside before that. */
async function heardOutside(...list: Buffer[]): Promise<Buffer[]> {
  const operation = frames.ARP_OPERATION.request;
  const { mac, ip } = clone;
  const last = frames.arpFrame({ operation, senderMac: mac, senderIp: ip, targetIp: FAR_IP });
  outside.drain();
  guest.send(...list, sentArp({ operation, targetIp: FAR_IP }));
  return outside.receiveUntil((frame) => frame.equals(last));
}

/** The same towards the guest. */
async function heardInside(...list: Buffer[]): Promise<Buffer[]> {
  guest.drain();
  outside.send(...list, arriving({ payload: "the last" }));
  return guest.receiveUntil((frame) => frame.includes("the last"));
}

async function expectCounted(reason: DropReason, hear: () => Promise<Buffer[]>): Promise<void> {
  const before = network.drops();
  const heard = await hear();
  expect(heard.map((frame) => frame.toString("hex"))).toEqual([]);
  expect(network.drops()).toEqual({ ...before, [reason]: before[reason] + COUNT });
}

const repeated = (make: () => Buffer) => Array.from({ length: COUNT }, make);

describe("from a translated guest", () => {
  it.each(fromGuest)("%s is dropped, counted as %s", async (_what, reason, make) => {
    await expectCounted(reason, () => heardOutside(...repeated(make)));
    expect(onHost.report().datagrams).toBe(0);
  });

  it("what it may send passes by the same way, as from its outer identity", async () => {
    const before = network.drops();
    const outer = { source: clone.mac, sourceIp: clone.ip };
    const whole = tinyFragment(sentEnds(), tcp, CHECKSUM_END.tcp);
    const [first, second] = await heardOutside(sent(), whole);
    expect(first).toEqual(sent({ ...outer, destinationIp: GATEWAY }));
    expect(frames.parseFrame(second as Buffer)).toMatchObject({
      source: clone.mac,
      ipv4: { sourceIp: clone.ip, destinationIp: FAR_IP, isHeaderIntact: true },
    });
    expect(network.drops()).toEqual(before);
  });

  it.each([14, 15, 33, 34, 41])(
    "what it may send passes with %i bytes in one piece",
    async (linearBytes) => {
      guest.sendLinear(sent({ payload: Buffer.alloc(LARGE_BYTES) }), linearBytes);
      const heard = { datagrams: 1, bytes: LARGE_BYTES, sources: { [clone.ip]: 1 } };
      await expect.poll(() => onHost.report()).toEqual(heard);
      expectNoChecksumErrors(undefined);
    },
  );
});

describe("to a translated guest", () => {
  it.each(toGuest)("%s is dropped, counted as %s", (_what, reason, make) =>
    expectCounted(reason, () => heardInside(...repeated(make))),
  );

  it("what is for it passes by the same way, as to its inner identity", async () => {
    const before = network.drops();
    const inner = { destination: SNAPSHOT.mac, destinationIp: SNAPSHOT.ip };
    expect(await heardInside(arriving())).toEqual([arriving(inner)]);
    expect(network.drops()).toEqual(before);
  });
});
