// The guards and the translating gate against their second description, on random frames with random
// virtio headers, through real TAPs: what comes out at a port that takes neither pending checksums
// nor segments, byte for byte. BPF_PROG_TEST_RUN cannot make such frames. FORKNET_FRAMES and
// FORKNET_SEED choose how many, each way, and which.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadAddon } from "../../src/kernel/addon.js";
import type { FilterBpf } from "../../src/kernel/messages.js";
import type { ProgramName } from "../../src/kernel/program-name.js";
import {
  BpfPrograms,
  GUARDS,
  GUARDS_THAT_TRANSLATE,
  type IdentityFields,
} from "../support/bpf-programs.js";
import { DropWatch } from "../support/drop-watch.js";
import { GuardModel } from "../support/guard-model.js";
import { CAN_JUDGE, HELPERS_WORK } from "../support/judging.js";
import { deleteLink, tellKernel } from "../support/kernel-view.js";
import { completed, isCut, isRefused } from "../support/offload-model.js";
import { patiently } from "../support/patience.js";
import { Random, randomFrame } from "../support/random-frames.js";
import { randomVirtio } from "../support/random-virtio.js";
import { RawTap } from "../support/raw-tap.js";
import { type Outcome, TranslateModel } from "../support/translate-model.js";
import type { VirtioFields } from "../support/virtio.js";

const FRAMES = Number(process.env.FORKNET_FRAMES ?? 2000);
const SEED = Number(process.env.FORKNET_SEED ?? 1);
const MICROSECONDS_OF_PATIENCE = 10_000;
const ARRIVAL_MS = 2000;
const CLSACT_INGRESS = 0xfffffff2;
const CLSACT_EGRESS = 0xfffffff3;
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
const NETWORK = { subnet: "10.100.0.0", mask: "255.255.0.0", ...OUTER };
const PROGRAMS = [...GUARDS, ...GUARDS_THAT_TRANSLATE].filter(
  (name) => HELPERS_WORK || name.endsWith("_kfunc"),
);
const TAGS: readonly number[] = [0x8100, 0x88a8];
/** A shorter one the kernel drops by itself. */
const SHORTEST_TAGGED_BYTES = 20;

const guardModel = new GuardModel(OUTER);
const translateModel = new TranslateModel(INNER, OUTER);
let ours: BpfPrograms;
/** Others with maps of their own, whose gate knows nobody: a filter that matches every frame. */
let all: BpfPrograms;
let source: RawTap;
let sink: RawTap;

function makeTap(name: string): RawTap {
  const addon = loadAddon();
  const { fd, ifindex } = addon.openTap({ name, vnetHdr: true, exclusive: true });
  addon.setTapPersistent(fd, true);
  addon.closeFd(fd);
  tellKernel(
    { op: "link.set", ifindex, addressGeneration: "none" },
    { op: "qdisc.clsact", verb: "add", ifindex },
    { op: "link.set", ifindex, up: true },
  );
  return new RawTap({ tap: name });
}

function attach(
  name: ProgramName,
  ifindex: number,
  parent: number,
  more: Partial<FilterBpf> = {},
): void {
  const filter = { priority: 1, handle: 1, programFd: ours.programs[name], name, ...more };
  tellKernel({ op: "filter.bpf", verb: "replace", ifindex, parent, ...filter });
}

beforeAll(() => {
  ours = new BpfPrograms();
  all = new BpfPrograms();
  source = makeTap("source0");
  sink = makeTap("sink0");
  ours.setNetwork({ ...NETWORK, shaperIfindex: sink.ifindex });
});

afterAll(() => {
  for (const tap of [source, sink]) tap.close();
  for (const name of ["source0", "sink0"]) deleteLink(name);
  for (const programs of [ours, all]) programs.close();
});

/** What came of a frame: the frames that arrived, why it was dropped, or that the kernel refused it. */
type Found = Buffer[] | string;

/** Sends a frame and waits for what the model says of it. */
function send(
  watch: DropWatch,
  frame: Buffer,
  virtio: VirtioFields,
  expected: Buffer[] | string | undefined,
): Found {
  try {
    source.sendWith(virtio, frame);
  } catch (error) {
    expect(error).toMatchObject({ code: "EINVAL" });
    return "refused";
  }
  // The verdict is there when the frame is sent, and so is what passes, but for a busy host.
  const isAwaited = typeof expected === "string" || (expected?.length ?? 0) > 0;
  const count = Array.isArray(expected) ? expected.length : 0;
  const frames: Buffer[] = [];
  const deadline = performance.now() + patiently(ARRIVAL_MS);
  for (;;) {
    for (let one = sink.read(); one; one = sink.read()) frames.push(one);
    if (frames.length > 0 && frames.length >= count) return frames;
    if (typeof expected === "string" && watch.is(expected)) return expected;
    if (!isAwaited || performance.now() > deadline) return watch.next() ?? frames;
  }
}

/** The headers that were judged, of a frame that passed: no checksum may have changed them. */
function judgedBytes(frame: Buffer): string {
  const isIpv4 = frame.length >= 34 && frame.readUInt16BE(12) === 0x0800;
  if (!isIpv4) return frame.toString("hex");
  const transport = 14 + (frame.readUInt8(14) & 15) * 4;
  const isFirst = (frame.readUInt16BE(20) & 0x1fff) === 0;
  const hasPorts = [6, 17].includes(frame.readUInt8(23)) && isFirst;
  const ports = hasPorts ? frame.subarray(transport, transport + 4) : Buffer.alloc(0);
  return Buffer.concat([
    frame.subarray(0, 14),
    frame.subarray(23, 24),
    frame.subarray(26, 34),
    ports,
  ]).toString("hex");
}

/** A TCP checksum of 0 and its other form are one number; which one stays depends on who writes it. */
function text(frames: Outcome | Buffer[]): string {
  if (!Array.isArray(frames)) return String(frames);
  return frames
    .map((frame) => {
      const copy = Buffer.from(frame);
      const at = 14 + (copy.readUInt8(14) & 15) * 4 + 16;
      const isTcp = copy.length >= at + 2 && copy.readUInt8(23) === 6;
      if (isTcp && copy.readUInt16BE(at) === 0) copy.writeUInt16BE(0xffff, at);
      return copy.toString("hex");
    })
    .join(" ");
}

interface Case {
  frame: Buffer;
  virtio: VirtioFields;
  /** Why it is dropped, or what it is before the kernel completes it. */
  judged: Buffer | string;
}

/** Sends random frames and compares each with what the models say. */
function compare(make: (random: Random) => Case): void {
  const random = new Random(SEED);
  const watch = new DropWatch(ours);
  const seen = new Map<string, number>();
  for (let nth = 0, sent = 0; sent < FRAMES; nth++) {
    const { frame, virtio, judged } = make(random);
    if (TAGS.includes(frame.readUInt16BE(12)) && frame.length < SHORTEST_TAGGED_BYTES) continue;
    const expected = typeof judged === "string" ? judged : completed(judged, virtio);
    const found = send(watch, frame, virtio, expected);
    const kind = typeof found !== "string" ? (isCut(frame, virtio) ? "cut" : "passed") : found;
    seen.set(kind, (seen.get(kind) ?? 0) + 1);
    if (found === "refused") continue;
    sent += 1;
    const where = `${nth}: ${JSON.stringify(virtio)} ${frame.toString("hex")}`;
    if (Array.isArray(found) && Buffer.isBuffer(judged))
      // Later fragments have no ports.
      for (const one of found)
        expect(judgedBytes(judged).startsWith(judgedBytes(one)), where).toBe(true);
    if (expected !== undefined && text(found) !== text(expected))
      expect.fail(`${where}\nfound ${text(found)}\nmodel ${text(expected)}`);
  }
  expect(watch.untold()).toEqual({});
  expect(sink.read()).toBeUndefined();
  // What is never made proves nothing.
  for (const kind of ["passed", "cut"])
    expect(seen.get(kind) ?? 0, kind).toBeGreaterThan(FRAMES / 200);
  console.log([...seen].map(([kind, count]) => `${kind} ${count}`).join(", "));
}

const options = { timeout: patiently(10_000 + (FRAMES * MICROSECONDS_OF_PATIENCE) / 1000) };

describe.runIf(CAN_JUDGE).each(PROGRAMS)("from the guest, %s", (program) => {
  const isTranslated = program.startsWith("guard_translate");
  const self = isTranslated ? INNER : OUTER;
  const way = program.endsWith("_kfunc") ? "kfunc" : "helpers";

  function judge(frame: Buffer, virtio: VirtioFields): Buffer | string {
    const first = isTranslated
      ? translateModel.refusal(frame)
      : guardModel.verdict(frame, true).replace("accepted", "");
    if (first) return first;
    if (isRefused(frame, virtio, way)) return "checksum";
    const isPending = virtio.checksum !== undefined;
    return isTranslated ? translateModel.outcome(frame, "from guest", isPending) : frame;
  }

  it("judges, and leaves bytes, as the model does", options, () => {
    ours.arm(source.ifindex, { ...OUTER, ...(isTranslated && { guest: INNER }) });
    attach(program, source.ifindex, CLSACT_INGRESS);
    compare((random) => {
      const frame = randomFrame(random, self, true);
      const virtio = randomVirtio(random, frame, true);
      return { frame, virtio, judged: judge(frame, virtio) };
    });
  });
});

describe("to the guest", () => {
  it("leaves what the host is still to complete as the model does", options, () => {
    attach("gate", source.ifindex, CLSACT_INGRESS, {
      programFd: all.programs.gate,
      redirectTo: sink.ifindex,
    });
    ours.arm(sink.ifindex, { ...OUTER, guest: INNER });
    attach("gate_translate", sink.ifindex, CLSACT_EGRESS);
    compare((random) => {
      const frame = randomFrame(random, OUTER, false);
      const virtio = randomVirtio(random, frame, false);
      const isPending = virtio.checksum !== undefined;
      return { frame, virtio, judged: translateModel.outcome(frame, "to guest", isPending) };
    });
  });
});
