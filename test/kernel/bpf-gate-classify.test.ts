// The gate in front of a guest and the classifier on the shaper, in BPF_PROG_TEST_RUN: who passes,
// who is counted. A test run does not report skb->tc_classid: that the class is the right one is
// seen in bpf-path.test.ts.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { DropReason } from "../../src/lease/drops.js";
import { ACTION, BpfPrograms } from "../support/bpf-programs.js";
import { arpFrame, BROADCAST_MAC, ethernetFrame, ipv6Frame, udpFrame } from "../support/frames.js";

const LOOPBACK = 1;
const TAP = 4711;
const MAC = "02:00:0a:64:00:05";
const IP = "10.100.0.5";
const GATEWAY = { source: "02:00:0a:64:00:01", sourceIp: "10.100.0.1" };
const FRAME = udpFrame({ ...GATEWAY, destination: MAC, destinationIp: IP, destinationPort: 53 });

let ours: BpfPrograms;

beforeAll(() => {
  ours = new BpfPrograms();
});

afterAll(() => {
  ours.close();
});

beforeEach(() => {
  for (const ifindex of [LOOPBACK, TAP]) ours.disarm(ifindex);
  ours.resetDrops();
});

function expectRun(
  program: "gate" | "classify",
  frame: Buffer,
  context: { ifindex?: number; ingressIfindex?: number },
  reason?: DropReason,
): void {
  const run = ours.bpf.testRun(ours.programs[program], frame, context);
  expect(run.action).toBe(reason === undefined ? ACTION.ok : ACTION.shot);
  expect(run.frame).toEqual(frame);
  expect(ours.drops()).toEqual(reason === undefined ? {} : { [reason]: 1 });
}

describe("gate", () => {
  it("drops what comes for a TAP without a lease", () =>
    expectRun("gate", FRAME, {}, "gate_unarmed"));

  it("drops what comes for a lease of another layout", () => {
    ours.arm(LOOPBACK, { mac: MAC, ip: IP, version: 0 });
    expectRun("gate", FRAME, {}, "gate_unarmed");
  });

  it("drops what comes for a blocked guest", () => {
    ours.arm(LOOPBACK, { mac: MAC, ip: IP, blocked: true });
    expectRun("gate", FRAME, {}, "gate_blocked");
  });

  it.each([
    ["UDP", FRAME],
    [
      "ARP",
      arpFrame({
        operation: 1,
        senderMac: GATEWAY.source,
        senderIp: GATEWAY.sourceIp,
        targetIp: IP,
      }),
    ],
    ["IPv6", ipv6Frame({ source: GATEWAY.source, destination: BROADCAST_MAC })],
    [
      "a type nobody knows",
      ethernetFrame({ ...GATEWAY, destination: MAC, etherType: 0x88b5, payload: Buffer.of(1) }),
    ],
  ])("passes %s to an armed guest", (_, frame) => {
    ours.arm(LOOPBACK, { mac: MAC, ip: IP });
    expectRun("gate", frame, {});
  });

  it("looks at the device the frame leaves by, not where it came in", () => {
    ours.arm(TAP, { mac: MAC, ip: IP });
    expectRun("gate", FRAME, { ingressIfindex: TAP }, "gate_unarmed");
  });
});

describe("classify", () => {
  it("drops what no TAP brought", () => {
    ours.arm(LOOPBACK, { mac: MAC, ip: IP });
    expectRun("classify", FRAME, {}, "unclassified");
  });

  it("drops what comes from a TAP without a lease", () =>
    expectRun("classify", FRAME, { ingressIfindex: TAP }, "unclassified"));

  it("drops what comes from a lease of another layout", () => {
    ours.arm(TAP, { mac: MAC, ip: IP, version: 1 });
    expectRun("classify", FRAME, { ingressIfindex: TAP }, "unclassified");
  });

  it("drops what has no class, which HTB would send past every limit", () => {
    ours.arm(TAP, { mac: MAC, ip: IP, classMinor: 0 });
    expectRun("classify", FRAME, { ingressIfindex: TAP }, "unclassified");
  });

  it.each([1, 0x10, 0xffff])("passes class %i", (classMinor) => {
    ours.arm(TAP, { mac: MAC, ip: IP, classMinor });
    expectRun("classify", FRAME, { ingressIfindex: TAP });
  });
});
