// What the guard lets pass and what it drops, frame by frame in BPF_PROG_TEST_RUN: every reason, every boundary.
// A test run cannot set skb->vlan_present, nor take a truncated IPv4 header: bpf-path.test.ts has real frames for both.

import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { encodeLease } from "../../src/lease/lease.js";
import { ACTION, BpfPrograms, type DropReason, type LeaseFields, u32 } from "../support/bpf-programs.js";
import {
  ARP_OPERATION,
  arpFrame,
  BROADCAST_MAC,
  bpduFrame,
  ethernetFrame,
  icmpEchoFrame,
  ipv4Packet,
  ipv6Frame,
  udpFrame,
} from "../support/frames.js";

// A test run's frame comes in on the loopback device when no other is named.
const TAP = 1;
const SHAPER = 77;
const MAC = "02:00:0a:64:00:05";
const IP = "10.100.0.5";
const PEER_MAC = "02:00:0a:64:00:06";
const PEER_IP = "10.100.0.6";
const GATEWAY_MAC = "02:00:0a:64:00:01";
const GATEWAY_IP = "10.100.0.1";
const OUTSIDE_IP = "192.0.2.9";
const LEASE: LeaseFields = { mac: MAC, ip: IP };
const NETWORK = { subnet: "10.100.0.0", mask: "255.255.0.0", gateway: GATEWAY_IP, shaperIfindex: SHAPER };
const VLAN_SERVICE_TAG = 0x88a8;

let ours: BpfPrograms;

beforeAll(() => {
  ours = new BpfPrograms();
});

afterAll(() => {
  ours.close();
});

beforeEach(() => {
  ours.arm(TAP, LEASE);
  ours.setNetwork(NETWORK);
  ours.resetDrops();
});

function toOutside() {
  const ips = { sourceIp: IP, destinationIp: OUTSIDE_IP };
  return { source: MAC, destination: GATEWAY_MAC, ...ips, destinationPort: 53 };
}

function udp(destinationIp = OUTSIDE_IP, from: { source?: string; sourceIp?: string } = {}): Buffer {
  const { source = MAC, sourceIp = IP } = from;
  return udpFrame({ source, destination: GATEWAY_MAC, sourceIp, destinationIp, destinationPort: 53 });
}

function arp(): Buffer {
  return arpFrame({ operation: ARP_OPERATION.request, senderMac: MAC, senderIp: IP, targetIp: GATEWAY_IP });
}

function patched(frame: Buffer, offset: number, ...bytes: number[]): Buffer {
  const copy = Buffer.from(frame);
  Buffer.from(bytes).copy(copy, offset);
  return copy;
}

function flipped(frame: Buffer, offset: number): Buffer {
  return patched(frame, offset, frame.readUInt8(offset) ^ 1);
}

function expectAccepted(frame: Buffer): void {
  const run = ours.bpf.testRun(ours.programs.guard, frame);
  expect(run.action).toBe(ACTION.redirect);
  expect(run.frame).toEqual(frame);
  expect(ours.drops()).toEqual({});
}

function expectDropped(frame: Buffer, reason: DropReason): void {
  expect(ours.bpf.testRun(ours.programs.guard, frame).action).toBe(ACTION.shot);
  expect(ours.drops()).toEqual({ [reason]: 1 });
}

describe("an armed guest's own frames pass", () => {
  const arpFields = { senderMac: MAC, senderIp: IP };
  it.each([
    ["UDP to the outside", udp()],
    ["UDP to the gateway", udp(GATEWAY_IP)],
    ["UDP to itself", udp(IP)],
    ["limited broadcast", udp("255.255.255.255")],
    ["multicast", udp("224.0.0.251")],
    ["ICMP", icmpEchoFrame({ source: MAC, destination: GATEWAY_MAC, sourceIp: IP, destinationIp: OUTSIDE_IP })],
    ["a bare IPv4 header of 34 bytes", udp().subarray(0, 34)],
    ["the longest IPv4 header", patched(udp(), 14, 0x4f)],
    ["an ARP request of 42 bytes", arp()],
    ["an ARP reply", arpFrame({ ...arpFields, operation: ARP_OPERATION.reply, targetIp: GATEWAY_IP })],
    ["a gratuitous ARP", arpFrame({ ...arpFields, operation: ARP_OPERATION.request, targetIp: IP })],
    ["a padded ARP", Buffer.concat([arp(), Buffer.alloc(18)])],
    ["a large frame", udpFrame({ ...toOutside(), payload: Buffer.alloc(1472) })],
  ])("%s", (_, frame) => expectAccepted(frame));

  it("with the lease as src/lease writes it", () => {
    const limits = { download: 1e9, upload: { rate: 1e9, ceil: 4e9 } };
    const address = { ip: 0x0a640005, mac: 0x02000a640005, classMinor: 0x10 };
    const names = { instanceId: "i".repeat(64), instanceName: "n".repeat(64) };
    const lease = { ...names, ...address, limits, createdMs: 1.7e12, generation: 3, blocked: false };
    ours.bpf.mapSet(ours.maps.leases, u32(TAP), encodeLease(lease));
    expectAccepted(udp());
    ours.bpf.mapSet(ours.maps.leases, u32(TAP), encodeLease({ ...lease, blocked: true }));
    expectDropped(udp(), "blocked");
  });
});

describe("before a guest is ready nothing passes", () => {
  it("without a lease", () => {
    ours.disarm(TAP);
    expectDropped(udp(), "unarmed");
  });

  it("with a lease of another layout", () => {
    ours.arm(TAP, { ...LEASE, version: 2 });
    expectDropped(udp(), "unarmed");
  });

  it("with the lease of another TAP", () => {
    ours.disarm(TAP);
    ours.arm(TAP + 1, LEASE);
    expectDropped(udp(), "unarmed");
    ours.disarm(TAP + 1);
  });

  it("while it is blocked, whatever it sends", () => {
    ours.arm(TAP, { ...LEASE, blocked: true });
    expectDropped(ipv6Frame({ source: PEER_MAC, destination: BROADCAST_MAC }), "blocked");
  });

  it("without settings", () => {
    ours.clearNetwork();
    expectDropped(udp(), "unarmed");
  });

  it("without a shaper", () => {
    ours.setNetwork({ ...NETWORK, shaperIfindex: 0 });
    expectDropped(arp(), "unarmed");
  });
});

describe("what is not the guest's own is dropped", () => {
  it.each([0, 1, 2, 3, 4, 5])("byte %i of the source MAC", (byte) => {
    for (const frame of [udp(), arp()]) {
      ours.resetDrops();
      expectDropped(flipped(frame, 6 + byte), "mac");
    }
  });

  it.each([0, 1, 2, 3])("byte %i of the source address", (byte) => expectDropped(flipped(udp(), 26 + byte), "ip"));

  it.each([
    ["a peer's address", PEER_IP],
    ["the gateway's address", GATEWAY_IP],
    ["no address, as DHCP has it", "0.0.0.0"],
  ])("%s", (_, sourceIp) => expectDropped(udp(OUTSIDE_IP, { sourceIp }), "ip"));
});

describe("malformed frames are dropped", () => {
  it.each([
    ["a header length of 4 words", patched(udp(), 14, 0x44)],
    ["a header length of 0", patched(udp(), 14, 0x40)],
    ["IP version 6 under IPv4's type", patched(udp(), 14, 0x65)],
    ["IP version 0", patched(udp(), 14, 0x05)],
    ["ARP of 41 bytes", arp().subarray(0, 41)],
  ])("%s", (_, frame) => expectDropped(frame, "malformed"));

  // The kernel refuses to run a program on such frames; bpf-path.test.ts sends them.
  it.each([13, 33])("a test run does not take IPv4 of %i bytes", (length) => {
    const run = () => ours.bpf.testRun(ours.programs.guard, udp().subarray(0, length));
    expect(run).toThrow(expect.objectContaining({ code: "EINVAL", syscall: "BPF_PROG_TEST_RUN" }));
  });
});

describe("ARP speaks for the guest only", () => {
  it.each([
    ["another hardware type", 14, [0, 6]],
    ["another protocol type", 16, [0x86, 0xdd]],
    ["another hardware length", 18, [8]],
    ["another protocol length", 19, [16]],
    ["a peer's sender MAC", 22, [2, 0, 10, 100, 0, 6]],
    ["a peer's sender address", 28, [10, 100, 0, 6]],
    ["the gateway's sender address", 28, [10, 100, 0, 1]],
    ["a probe from 0.0.0.0", 28, [0, 0, 0, 0]],
  ])("%s", (_, offset, bytes) => expectDropped(patched(arp(), offset, ...bytes), "arp"));

  it.each([22, 23, 24, 25, 26, 27, 28, 29, 30, 31])("byte %i, sender", (at) =>
    expectDropped(flipped(arp(), at), "arp"),
  );
});

describe("other protocols are dropped", () => {
  it.each([
    ["IPv6", ipv6Frame({ source: MAC, destination: BROADCAST_MAC })],
    ["spanning tree", bpduFrame({ source: MAC })],
    ["LLDP", ethernetFrame({ source: MAC, destination: GATEWAY_MAC, etherType: 0x88cc, payload: Buffer.alloc(46) })],
    ["reverse ARP", patched(arp(), 12, 0x80, 0x35)],
    ["a type of 0", patched(udp(), 12, 0, 0)],
  ])("%s", (_, frame) => expectDropped(frame, "protocol"));

  it("a tag the kernel has not taken out", () => expectDropped(udpFrame({ ...toOutside(), vlan: 5 }), "vlan"));

  it("a service tag", () => {
    const frame = udpFrame({ ...toOutside(), vlan: 5 });
    expectDropped(patched(frame, 12, VLAN_SERVICE_TAG >> 8, VLAN_SERVICE_TAG & 255), "vlan");
  });
});

describe("an isolated subnet", () => {
  const inside = [
    ["a peer", PEER_IP],
    ["the first address", "10.100.0.0"],
    ["the last address, its broadcast", "10.100.255.255"],
    ["the neighbour above the gateway", "10.100.0.2"],
  ] as const;

  it.each(inside)("drops what goes to %s", (_, ip) => expectDropped(udp(ip), "peer"));

  it("drops a peer whatever the destination MAC", () => {
    const frame = udpFrame({ ...toOutside(), destination: PEER_MAC, destinationIp: PEER_IP });
    expectDropped(frame, "peer");
  });

  it.each([
    ["just below", "10.99.255.255"],
    ["just above", "10.101.0.0"],
  ])("ends %s", (_, ip) => expectAccepted(udp(ip)));

  it.each(inside)("when isolation is off lets pass what goes to %s", (_, ip) => {
    ours.setNetwork({ ...NETWORK, isolated: false });
    expectAccepted(udp(ip));
  });

  it("may be as small as a /29", () => {
    const small = { ...NETWORK, subnet: "10.100.0.0", mask: "255.255.255.248" };
    ours.setNetwork(small);
    expectDropped(udp("10.100.0.7"), "peer");
    ours.resetDrops();
    expectAccepted(udp("10.100.0.8"));
  });
});

describe("counters", () => {
  it("add up, one for each frame", () => {
    for (let i = 0; i < 5; i++) ours.bpf.testRun(ours.programs.guard, udp(PEER_IP));
    ours.bpf.testRun(ours.programs.guard, flipped(udp(), 6));
    ours.bpf.testRun(ours.programs.guard, udp());
    expect(ours.drops()).toEqual({ peer: 5, mac: 1 });
  });

  it.skipIf(availableParallelism() < 2)("are kept for each CPU", () => {
    const pin = (cpus: string) => spawnSync("taskset", ["-p", "-c", cpus, String(process.pid)]).status;
    const all = `0-${availableParallelism() - 1}`;
    try {
      for (const cpu of ["0", "1"]) {
        expect(pin(cpu)).toBe(0);
        ours.bpf.testRun(ours.programs.guard, udp(PEER_IP));
      }
    } finally {
      pin(all);
    }
    expect(ours.dropsByCpu(8).slice(0, 2)).toEqual([1n, 1n]);
    expect(ours.drops()).toEqual({ peer: 2 });
  });
});

it("takes the source of an IPv4 packet with options from the same place", () => {
  const withOptions = ethernetFrame({
    source: MAC,
    destination: GATEWAY_MAC,
    payload: patched(
      ipv4Packet({ sourceIp: IP, destinationIp: PEER_IP, protocol: 17, payload: Buffer.alloc(40) }),
      0,
      0x4f,
    ),
  });
  expectDropped(withOptions, "peer");
});
