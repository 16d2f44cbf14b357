// The translating programs against a second description of them, in TypeScript, on random frames in
// BPF_PROG_TEST_RUN: the same verdict and the same bytes each time. FORKNET_FRAMES and FORKNET_SEED
// choose how many and which.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ProgramName } from "../../src/kernel/program-name.js";
import {
  ACTION,
  BpfPrograms,
  GUARDS_THAT_TRANSLATE,
  type IdentityFields,
} from "../support/bpf-programs.js";
import { DropWatch } from "../support/drop-watch.js";
import { internetChecksum, udpFrame } from "../support/frames.js";
import { patiently } from "../support/patience.js";
import { Random, randomFrame } from "../support/random-frames.js";
import { type Outcome, TranslateModel, type Way } from "../support/translate-model.js";

const TAP = 1;
const FRAMES = Number(process.env.FORKNET_FRAMES ?? 3000);
const SEED = Number(process.env.FORKNET_SEED ?? 1);
const MICROSECONDS_OF_PATIENCE = 10_000;
const INNER: IdentityFields = {
  ip: "169.254.77.2",
  mac: "06:00:00:00:00:02",
  gateway: "169.254.77.1",
  gatewayMac: "02:00:a9:fe:4d:01",
};
const OUTER: IdentityFields = {
  ip: "10.100.0.5",
  mac: "02:00:0a:64:00:05",
  gateway: "10.100.0.1",
  gatewayMac: "02:00:0a:64:00:01",
};
const LEASE = { mac: OUTER.mac, ip: OUTER.ip };
const WAYS: readonly Way[] = ["from guest", "to guest"];

const model = new TranslateModel(INNER, OUTER);
let ours: BpfPrograms;
let watch: DropWatch;

beforeAll(() => {
  ours = new BpfPrograms();
  ours.arm(TAP, { ...LEASE, guest: INNER });
  const { gateway, gatewayMac } = OUTER;
  const network = { subnet: "10.100.0.0", mask: "255.255.0.0", gateway, gatewayMac };
  ours.setNetwork({ ...network, shaperIfindex: 77 });
  watch = new DropWatch(ours);
});

afterAll(() => {
  ours.close();
});

/** By each form of the program, which have to agree. `expected` is looked for first. */
function outcome(frame: Buffer, way: Way, expected?: Outcome): Outcome {
  if (way === "to guest") return outcomeOf("gate_translate", ACTION.ok, frame, expected);
  const [first, ...others] = GUARDS_THAT_TRANSLATE.map((one) =>
    outcomeOf(one, ACTION.redirect, frame, expected),
  );
  for (const other of others) expect(other).toEqual(first);
  return first as Outcome;
}

function outcomeOf(
  program: ProgramName,
  passes: number,
  frame: Buffer,
  expected: Outcome | undefined,
): Outcome {
  const run = ours.bpf.testRun(ours.programs[program], frame);
  if (run.action === ACTION.shot)
    return watch.next(typeof expected === "string" ? expected : undefined) ?? "";
  expect(run.action).toBe(passes);
  return run.frame;
}

function text(one: Outcome): string {
  return typeof one === "string" ? one : one.toString("hex");
}

/** A test run takes no frame that is shorter than its type's header. */
function canRun(frame: Buffer): boolean {
  const type = frame.readUInt16BE(12);
  return frame.length >= (type === 0x0800 ? 34 : type === 0x86dd ? 54 : 15);
}

describe.each(WAYS)("%s", (way) => {
  const self = way === "from guest" ? INNER : OUTER;

  it("the program and the model agree", {
    timeout: patiently(5000 + (FRAMES * MICROSECONDS_OF_PATIENCE) / 1000),
  }, () => {
    const random = new Random(SEED);
    const seen = new Set<string>();
    for (let nth = 0; nth < FRAMES; nth++) {
      const frame = randomFrame(random, self, way === "from guest");
      if (!canRun(frame)) continue;
      const expected = model.outcome(frame, way);
      seen.add(typeof expected === "string" ? expected : "passed");
      const found = outcome(frame, way, expected);
      if (text(found) !== text(expected))
        expect.fail(
          `${nth}: ${frame.toString("hex")}\nprogram ${text(found)}\nmodel   ${text(expected)}`,
        );
    }
    expect(watch.untold()).toEqual({});
    // What is never made proves nothing.
    const wanted = way === "from guest" ? ["ip", "mac", "arp", "peer"] : ["gate_foreign"];
    expect([...seen]).toEqual(expect.arrayContaining(["passed", "untranslatable", ...wanted]));
  });
});

it("leaves checksums that are right, whatever the addresses sum up to", () => {
  const random = new Random(SEED);
  for (let nth = 0; nth < 500; nth++) {
    const frame = udpFrame({
      source: INNER.mac,
      destination: INNER.gatewayMac,
      sourceIp: INNER.ip,
      destinationIp: random.chance(2) ? INNER.gateway : "198.51.100.7",
      sourcePort: random.below(65_536),
      destinationPort: random.below(65_536),
      payload: random.bytes(1 + random.below(60)),
    });
    const passed = outcome(frame, "from guest") as Buffer;
    expect(internetChecksum(passed.subarray(14, 34))).toBe(0);
    const udp = passed.subarray(34);
    const pseudo = Buffer.from([0, 17, udp.length >> 8, udp.length & 255]);
    expect(internetChecksum(Buffer.concat([passed.subarray(26, 34), pseudo, udp]))).toBe(0);
    expect(udp.readUInt16BE(6)).not.toBe(0);
  }
});

it("leaves a UDP checksum that comes out as 0 in its other form", () => {
  const ports = { sourcePort: 1, destinationPort: 2 };
  const withWord = ({ mac, ip, gatewayMac }: IdentityFields, word: number) =>
    udpFrame({
      ...ports,
      source: mac,
      sourceIp: ip,
      destination: gatewayMac,
      destinationIp: "198.51.100.7",
      payload: Buffer.from([word >> 8, word & 255]),
    });
  // The checksum itself as the payload brings the sum to all ones.
  const word = withWord(OUTER, 0).readUInt16BE(40);
  const passed = outcome(withWord(INNER, word), "from guest") as Buffer;
  expect(passed).toEqual(withWord(OUTER, word));
  expect(passed.readUInt16BE(40)).toBe(0xffff);
});

it("rewrites nothing of a guest that knows its own address", () => {
  const frame = udpFrame({
    source: OUTER.mac,
    destination: OUTER.gatewayMac,
    sourceIp: OUTER.ip,
    destinationIp: OUTER.gateway,
    destinationPort: 53,
  });
  ours.arm(TAP, LEASE);
  try {
    expect(outcome(frame, "from guest")).toEqual(frame);
    expect(outcome(frame, "to guest")).toEqual(frame);
  } finally {
    ours.arm(TAP, { ...LEASE, guest: INNER });
  }
});
