// Tries by traffic whether the helpers of this kernel tell a guard where a pending checksum will be
// written: frames go in at a TAP of our own, and what the guard lets pass comes out of it again, its
// checksum written. The TAP is nobody's port, has no address and goes with its descriptor, also when
// this process is killed.

import { randomBytes } from "node:crypto";
import { readSync, writeSync } from "node:fs";
import { FILTER_HANDLE, FILTER_PRIORITY, INGRESS } from "../facts.js";
import type { Subnet } from "../identity/ipv4.js";
import { type Kernel, mustTalk } from "../kernel/kernel.js";
import { readDrops } from "../lease/drops.js";
import { encodeLease, keyOf, type Lease } from "../lease/lease.js";
import { createMaps, type Maps, writeSettings } from "./maps.js";
import { hasIpv6 } from "./sysctl.js";
import {
  isChecksumRight,
  isOfTrial,
  TRIAL_IP,
  TRIAL_MAC,
  type TrialFrame,
  trialFrames,
} from "./trial-frames.js";
import { Undo } from "./undo.js";

/** The host's files keep udev and its like off links with our first letters (integration/). */
const NAME_PREFIX = "fkp";
const LARGEST_FRAME_BYTES = 2048;
const VIRTIO_HEADER_BYTES = 10;
/** A frame passes, or is dropped, before the call that sends it returns; a busy host may differ. */
const FRAME_MS = 1000;
const POLL_MS = 1;

const LEASE: Lease = {
  instanceId: "trial",
  instanceName: "trial",
  ip: TRIAL_IP,
  mac: TRIAL_MAC,
  classMinor: 0,
  limits: { download: null, upload: null },
  createdMs: 0,
  generation: 1,
  blocked: false,
};
/** TEST-NET-1. */
const SUBNET: Subnet = {
  network: 0xc000_0200,
  mask: 0xffff_ff00,
  prefixLength: 24,
  gateway: 0xc000_0201,
  broadcast: 0xc000_02ff,
};

/**
 * What a guard by helpers did wrong, undefined when it judges everything right; `way` as in
 * NetworkFacts. Throws Refused when it could not be tried. Leaves nothing.
 */
export function tryPending(kernel: Kernel, way: "helpers" | "drop"): string | undefined {
  const undo = new Undo();
  try {
    const maps = createMaps(kernel, undo);
    const tap = makeTap(kernel, maps, way, undo);
    for (const frame of trialFrames()) {
      const passes = way === "drop" && frame.isPending ? 0 : frame.passes;
      const fault = faultWith({ ...frame, passes }, send(maps, tap, frame));
      if (fault) return `${frame.name} ${fault}`;
    }
    return undefined;
  } finally {
    undo.rollBack({ operation: "trial", device: "", errno: 0, text: "", leftBehind: [] });
  }
}

/** Its guard sends what passes out of the TAP itself. */
function makeTap(kernel: Kernel, maps: Maps, way: "helpers" | "drop", undo: Undo): number {
  const guard = kernel.bpf.loadProgram("guard", maps);
  undo.push("program", () => kernel.closeFd(guard.fd));
  const name = `${NAME_PREFIX}${randomBytes(4).toString("hex")}`;
  const { fd, ifindex } = kernel.openTap({
    name,
    exclusive: true,
    vnetHdr: true,
    nonBlocking: true,
  });
  undo.push("TAP", () => kernel.closeFd(fd));
  kernel.bpf.mapSet(maps.leases, keyOf(ifindex), encodeLease(LEASE));
  const settings = { isolated: false, mirrored: false, checksums: way, shaper: ifindex, mac: 0 };
  writeSettings(kernel, maps, SUBNET, settings, undo);
  const addressGeneration = hasIpv6() ? { addressGeneration: "none" as const } : {};
  mustTalk(
    kernel,
    [
      { op: "link.set", ifindex, ...addressGeneration },
      { op: "qdisc.clsact", verb: "add", ifindex },
      {
        op: "filter.bpf",
        verb: "add",
        ifindex,
        parent: INGRESS,
        priority: FILTER_PRIORITY,
        handle: FILTER_HANDLE,
        programFd: guard.fd,
        name: "forknet-trial",
      },
      { op: "link.set", ifindex, up: true },
    ],
    name,
  );
  return fd;
}

/** What came of a frame: the frames that came through, or that it was dropped or refused. */
type Outcome = readonly Buffer[] | "dropped" | "refused" | "lost";

function faultWith({ passes }: TrialFrame, outcome: Outcome): string | undefined {
  const isPassed = typeof outcome !== "string";
  if (passes === 0) return isPassed || outcome === "lost" ? "passed" : undefined;
  if (!isPassed) return `was ${outcome}`;
  return outcome.every(isChecksumRight) ? undefined : "came through with a wrong checksum";
}

function send(maps: Maps, tap: number, { bytes, passes }: TrialFrame): Outcome {
  const before = readDrops(maps.drops).checksum;
  try {
    writeSync(tap, bytes);
  } catch {
    // EINVAL: what the header says makes no sense to the kernel.
    return "refused";
  }
  const deadline = performance.now() + FRAME_MS;
  const frames: Buffer[] = [];
  for (;;) {
    for (let frame = read(tap); frame; frame = read(tap)) if (isOfTrial(frame)) frames.push(frame);
    if (readDrops(maps.drops).checksum > before) return "dropped";
    if (frames.length >= Math.max(passes, 1)) return frames;
    if (performance.now() >= deadline) return "lost";
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, POLL_MS);
  }
}

/** A frame that is there, undefined when there is none. */
function read(tap: number): Buffer | undefined {
  const buffer = Buffer.alloc(LARGEST_FRAME_BYTES);
  try {
    const bytes = readSync(tap, buffer);
    return buffer.subarray(VIRTIO_HEADER_BYTES, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return undefined;
    throw error;
  }
}
