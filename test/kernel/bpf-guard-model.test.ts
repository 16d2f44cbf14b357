// The guard against a second description of its rules, in TypeScript, on thousands of damaged
// frames: the compiled program and the model have to give the same reason each time. The rules one
// by one are in bpf-guard.test.ts.

import { fc, test } from "@fast-check/vitest";
import { afterAll, beforeAll, expect } from "vitest";
import { ACTION, BpfPrograms, GUARDS } from "../support/bpf-programs.js";
import { arpFrame, bpduFrame, ETHER_TYPE, ipv6Frame, udpFrame } from "../support/frames.js";
import { GuardModel } from "../support/guard-model.js";

const TAP = 1;
const MAC = "02:00:0a:64:00:05";
const IP = "10.100.0.5";
const NETWORK = { subnet: "10.100.0.0", mask: "255.255.0.0", gateway: "10.100.0.1" };
// Behind the longest header the guard reads; damage further on must change nothing, so a little of
// that, too.
const DAMAGED_BYTES = 48;
const FRAMES = Number(process.env.FORKNET_GUARD_FRAMES ?? 5000);

const SHORTEST_BYTES = new Map<number, number>([
  [ETHER_TYPE.ipv4, 34],
  [ETHER_TYPE.ipv6, 54],
]);

const model = new GuardModel({ mac: MAC, ip: IP, gateway: NETWORK.gateway });
let ours: BpfPrograms;

beforeAll(() => {
  ours = new BpfPrograms();
  ours.arm(TAP, { mac: MAC, ip: IP });
});

afterAll(() => {
  ours.close();
});

function verdict(program: (typeof GUARDS)[number], frame: Buffer, isolated: boolean): string {
  ours.setNetwork({ ...NETWORK, shaperIfindex: 77, isolated });
  ours.resetDrops();
  const { action } = ours.bpf.testRun(ours.programs[program], frame);
  const drops = Object.entries(ours.drops());
  if (action === ACTION.redirect && drops.length === 0) return "accepted";
  expect([action, drops.length, drops[0]?.[1]]).toEqual([ACTION.shot, 1, 1]);
  return drops[0]?.[0] ?? "";
}

const toGateway = {
  source: MAC,
  destination: "02:00:0a:64:00:01",
  sourceIp: IP,
  destinationPort: 53,
};
const frames = [
  udpFrame({ ...toGateway, destinationIp: NETWORK.gateway }),
  udpFrame({ ...toGateway, destinationIp: "10.100.0.6" }),
  udpFrame({ ...toGateway, destinationIp: "192.0.2.1" }),
  arpFrame({ operation: 1, senderMac: MAC, senderIp: IP, targetIp: NETWORK.gateway }),
  ipv6Frame({ source: MAC, destination: "33:33:00:00:00:01" }),
  bpduFrame({ source: MAC }),
];
// Few bytes in most runs: a frame with many wrong ones never gets past the first check. Half of
// them turn one bit.
const damage = fc.array(
  fc.record({
    at: fc.integer({ min: 6, max: DAMAGED_BYTES - 1 }),
    mask: fc.oneof(fc.integer({ min: 0, max: 255 }), bit()),
  }),
  { maxLength: 3 },
);

function bit() {
  return fc.integer({ min: 0, max: 7 }).map((shift) => 1 << shift);
}

test.prop([fc.constantFrom(...frames), damage, fc.integer({ min: 0, max: 60 }), fc.boolean()], {
  numRuns: FRAMES,
})("the program and the model agree", (original, changes, cut, isolated) => {
  const frame = Buffer.from(original);
  for (const { at, mask } of changes)
    if (at < frame.length) frame.writeUInt8(frame.readUInt8(at) ^ mask, at);
  // A test run takes no IP frame without a whole header, nor an empty one: bpf-path.test.ts has
  // those.
  const shortest = SHORTEST_BYTES.get(frame.readUInt16BE(12)) ?? 15;
  const damaged = frame.subarray(0, Math.max(shortest, frame.length - cut));
  fc.pre(damaged.length >= shortest);
  const expected = model.verdict(damaged, isolated);
  for (const program of GUARDS) expect(verdict(program, damaged, isolated), program).toBe(expected);
});
