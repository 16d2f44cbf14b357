// Whom an isolated guest may write to, and how the guard counts: by reason and CPU. The rest of its
// rules are in bpf-guard.test.ts.

import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { describe, expect, it } from "vitest";
import { ethernetFrame, ipv4Packet, udpFrame } from "../support/frames.js";
import {
  flipped,
  GATEWAY_MAC,
  IP,
  MAC,
  NETWORK,
  PEER_IP,
  PEER_MAC,
  patched,
  toOutside,
  udp,
  useGuard,
} from "../support/guard-under-test.js";

const guard = useGuard();
const { expectAccepted, expectDropped } = guard;

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
    guard.ours.setNetwork({ ...NETWORK, isolated: false });
    expectAccepted(udp(ip));
  });

  it("may be as small as a /29", () => {
    const small = { ...NETWORK, subnet: "10.100.0.0", mask: "255.255.255.248" };
    guard.ours.setNetwork(small);
    expectDropped(udp("10.100.0.7"), "peer");
    guard.ours.resetDrops();
    expectAccepted(udp("10.100.0.8"));
  });
});

describe("counters", () => {
  it("add up, one for each frame", () => {
    for (let i = 0; i < 5; i++) guard.ours.bpf.testRun(guard.ours.programs.guard, udp(PEER_IP));
    guard.ours.bpf.testRun(guard.ours.programs.guard, flipped(udp(), 6));
    guard.ours.bpf.testRun(guard.ours.programs.guard, udp());
    expect(guard.ours.drops()).toEqual({ peer: 5, mac: 1 });
  });

  it.skipIf(availableParallelism() < 2)("are kept for each CPU", () => {
    const pin = (cpus: string) =>
      spawnSync("taskset", ["-p", "-c", cpus, String(process.pid)]).status;
    const all = `0-${availableParallelism() - 1}`;
    try {
      for (const cpu of ["0", "1"]) {
        expect(pin(cpu)).toBe(0);
        guard.ours.bpf.testRun(guard.ours.programs.guard, udp(PEER_IP));
      }
    } finally {
      pin(all);
    }
    expect(guard.ours.dropsByCpu(8).slice(0, 2)).toEqual([1n, 1n]);
    expect(guard.ours.drops()).toEqual({ peer: 2 });
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
