// What the guard lets pass and what it drops, frame by frame in BPF_PROG_TEST_RUN: every reason,
// every boundary. A test run cannot set skb->vlan_present, nor take a truncated IPv4 header:
// bpf-path.test.ts has real frames for both.

import { describe, expect, it } from "vitest";
import { encodeLease } from "../../src/lease/lease.js";
import { u32 } from "../support/bpf-programs.js";
import {
  ARP_OPERATION,
  arpFrame,
  BROADCAST_MAC,
  bpduFrame,
  ethernetFrame,
  ipv6Frame,
  udpFrame,
} from "../support/frames.js";
import {
  arp,
  flipped,
  GATEWAY_IP,
  GATEWAY_MAC,
  IP,
  LEASE,
  MAC,
  NETWORK,
  OUTSIDE_IP,
  PEER_IP,
  PEER_MAC,
  patched,
  TAP,
  toOutside,
  udp,
  useGuard,
} from "../support/guard-under-test.js";
import { icmpEchoFrame } from "../support/icmp-frames.js";

const VLAN_SERVICE_TAG = 0x88a8;

const guard = useGuard();
const { expectAccepted, expectDropped } = guard;

describe("an armed guest's own frames pass", () => {
  const arpFields = { senderMac: MAC, senderIp: IP };
  it.each([
    ["UDP to the outside", udp()],
    ["UDP to the gateway", udp(GATEWAY_IP)],
    ["UDP to itself", udp(IP)],
    ["limited broadcast", udp("255.255.255.255")],
    ["multicast", udp("224.0.0.251")],
    [
      "ICMP",
      icmpEchoFrame({
        source: MAC,
        destination: GATEWAY_MAC,
        sourceIp: IP,
        destinationIp: OUTSIDE_IP,
      }),
    ],
    ["a bare IPv4 header of 34 bytes", udp().subarray(0, 34)],
    ["the longest IPv4 header", patched(udp(), 14, 0x4f)],
    ["an ARP request of 42 bytes", arp()],
    [
      "an ARP reply",
      arpFrame({ ...arpFields, operation: ARP_OPERATION.reply, targetIp: GATEWAY_IP }),
    ],
    [
      "a gratuitous ARP",
      arpFrame({ ...arpFields, operation: ARP_OPERATION.request, targetIp: IP }),
    ],
    ["a padded ARP", Buffer.concat([arp(), Buffer.alloc(18)])],
    ["a large frame", udpFrame({ ...toOutside(), payload: Buffer.alloc(1472) })],
  ])("%s", (_, frame) => expectAccepted(frame));

  it("with the lease as src/lease writes it", () => {
    const limits = { download: 1e9, upload: { rate: 1e9, ceil: 4e9 } };
    const address = { ip: 0x0a640005, mac: 0x02000a640005, classMinor: 0x10 };
    const names = { instanceId: "i".repeat(64), instanceName: "n".repeat(64) };
    const lease = {
      ...names,
      ...address,
      limits,
      createdMs: 1.7e12,
      generation: 3,
      blocked: false,
    };
    guard.ours.bpf.mapSet(guard.ours.maps.leases, u32(TAP), encodeLease(lease));
    expectAccepted(udp());
    guard.ours.bpf.mapSet(
      guard.ours.maps.leases,
      u32(TAP),
      encodeLease({ ...lease, blocked: true }),
    );
    expectDropped(udp(), "blocked");
  });
});

describe("before a guest is ready nothing passes", () => {
  it("without a lease", () => {
    guard.ours.disarm(TAP);
    expectDropped(udp(), "unarmed");
  });

  it("with a lease of another layout", () => {
    guard.ours.arm(TAP, { ...LEASE, version: 1 });
    expectDropped(udp(), "unarmed");
  });

  it("with the lease of another TAP", () => {
    guard.ours.disarm(TAP);
    guard.ours.arm(TAP + 1, LEASE);
    expectDropped(udp(), "unarmed");
    guard.ours.disarm(TAP + 1);
  });

  it("while it is blocked, whatever it sends", () => {
    guard.ours.arm(TAP, { ...LEASE, blocked: true });
    expectDropped(ipv6Frame({ source: PEER_MAC, destination: BROADCAST_MAC }), "blocked");
  });

  it("without settings", () => {
    guard.ours.clearNetwork();
    expectDropped(udp(), "unarmed");
  });

  it("without a shaper", () => {
    guard.ours.setNetwork({ ...NETWORK, shaperIfindex: 0 });
    expectDropped(arp(), "unarmed");
  });
});

describe("what is not the guest's own is dropped", () => {
  it.each([0, 1, 2, 3, 4, 5])("byte %i of the source MAC", (byte) => {
    for (const frame of [udp(), arp()]) {
      guard.ours.resetDrops();
      expectDropped(flipped(frame, 6 + byte), "mac");
    }
  });

  it.each([0, 1, 2, 3])("byte %i of the source address", (byte) =>
    expectDropped(flipped(udp(), 26 + byte), "ip"),
  );

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
    const run = () => guard.ours.bpf.testRun(guard.ours.programs.guard, udp().subarray(0, length));
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
    [
      "LLDP",
      ethernetFrame({
        source: MAC,
        destination: GATEWAY_MAC,
        etherType: 0x88cc,
        payload: Buffer.alloc(46),
      }),
    ],
    ["reverse ARP", patched(arp(), 12, 0x80, 0x35)],
    ["a type of 0", patched(udp(), 12, 0, 0)],
  ])("%s", (_, frame) => expectDropped(frame, "protocol"));

  it("a tag the kernel has not taken out", () =>
    expectDropped(udpFrame({ ...toOutside(), vlan: 5 }), "vlan"));

  it("a service tag", () => {
    const frame = udpFrame({ ...toOutside(), vlan: 5 });
    expectDropped(patched(frame, 12, VLAN_SERVICE_TAG >> 8, VLAN_SERVICE_TAG & 255), "vlan");
  });
});
