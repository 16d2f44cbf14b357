// An armed guest on an isolated network, for tests of the guard in BPF_PROG_TEST_RUN: its frames
// and its verdicts. Each test starts from the same maps, with the counters at 0.

import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import type { DropReason } from "../../src/lease/drops.js";
import { ACTION, BpfPrograms, GUARDS, type LeaseFields } from "./bpf-programs.js";
import { ARP_OPERATION, arpFrame, udpFrame } from "./frames.js";

// A test run's frame comes in on the loopback device when no other is named.
export const TAP = 1;
const SHAPER = 77;
export const MAC = "02:00:0a:64:00:05";
export const IP = "10.100.0.5";
export const PEER_MAC = "02:00:0a:64:00:06";
export const PEER_IP = "10.100.0.6";
export const GATEWAY_MAC = "02:00:0a:64:00:01";
export const GATEWAY_IP = "10.100.0.1";
export const OUTSIDE_IP = "192.0.2.9";
export const LEASE: LeaseFields = { mac: MAC, ip: IP };
export const NETWORK = {
  subnet: "10.100.0.0",
  mask: "255.255.0.0",
  gateway: GATEWAY_IP,
  shaperIfindex: SHAPER,
};

/** The start of a frame to the outside, for udpFrame. */
export function toOutside() {
  const ips = { sourceIp: IP, destinationIp: OUTSIDE_IP };
  return { source: MAC, destination: GATEWAY_MAC, ...ips, destinationPort: 53 };
}

/** UDP through the gateway. */
export function udp(
  destinationIp = OUTSIDE_IP,
  from: { source?: string; sourceIp?: string } = {},
): Buffer {
  const { source = MAC, sourceIp = IP } = from;
  return udpFrame({
    source,
    destination: GATEWAY_MAC,
    sourceIp,
    destinationIp,
    destinationPort: 53,
  });
}

/** The guest asks for its gateway. */
export function arp(): Buffer {
  return arpFrame({
    operation: ARP_OPERATION.request,
    senderMac: MAC,
    senderIp: IP,
    targetIp: GATEWAY_IP,
  });
}

/** A copy with other bytes at `offset`. */
export function patched(frame: Buffer, offset: number, ...bytes: number[]): Buffer {
  const copy = Buffer.from(frame);
  Buffer.from(bytes).copy(copy, offset);
  return copy;
}

/** A copy with one bit of the byte at `offset` turned. */
export function flipped(frame: Buffer, offset: number): Buffer {
  return patched(frame, offset, frame.readUInt8(offset) ^ 1);
}

export interface GuardUnderTest {
  /** There from beforeAll on. */
  readonly ours: BpfPrograms;
  /** The frame goes to the shaper as it is, and nothing is counted; by each form of the guard. */
  readonly expectAccepted: (frame: Buffer) => void;
  /** The frame goes nowhere, and only this reason is counted, once. */
  readonly expectDropped: (frame: Buffer, reason: DropReason) => void;
}

/** Registers the hooks of the test file that calls it. */
export function useGuard(): GuardUnderTest {
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

  function expectAccepted(frame: Buffer): void {
    for (const program of GUARDS) {
      const run = ours.bpf.testRun(ours.programs[program], frame);
      expect(run.action, program).toBe(ACTION.redirect);
      expect(run.frame, program).toEqual(frame);
    }
    expect(ours.drops()).toEqual({});
  }

  function expectDropped(frame: Buffer, reason: DropReason): void {
    for (const program of GUARDS) {
      ours.resetDrops();
      expect(ours.bpf.testRun(ours.programs[program], frame).action, program).toBe(ACTION.shot);
      expect(ours.drops(), program).toEqual({ [reason]: 1 });
    }
  }

  return {
    get ours() {
      return ours;
    },
    expectAccepted,
    expectDropped,
  };
}
