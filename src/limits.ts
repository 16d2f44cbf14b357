// A guest's limits: what was asked for (Limits), and what TBF and HTB are told (KernelLimits).
// Pure arithmetic; the numbers reach the kernel through src/plans.

import {
  type Bandwidth,
  type BitsPerSecond,
  parseBandwidth,
  toBytesPerSecond,
  UNLIMITED,
} from "./bandwidth.js";
import { configError } from "./errors.js";

/** HTB wants a rate. */
const LEAST_GROUP_RATE: BitsPerSecond = 1000;

/** What a request says of the upload side. */
export type UploadRequest = Bandwidth | { rate: Bandwidth; ceil?: Bandwidth };

/** Resolved limits in bits per second. `null` is unlimited. Durable: kept in the lease. */
export interface Limits {
  download: BitsPerSecond | null;
  upload: { rate: BitsPerSecond; ceil: BitsPerSecond } | null;
}

/** What the uploads of a group's guests have together: guaranteed, and at most. Durable. */
export interface GroupLimits {
  rate: BitsPerSecond;
  ceil: BitsPerSecond;
}

/** The parameters of one guest's TBF and HTB class, in the kernel's units (bytes). */
export interface KernelLimits {
  tbf: { rate: number; burstBytes: number; limitBytes: number };
  htb: HtbRates & { leaf: LeafQueue };
}

/**
 * The queue in a guest's class: a TBF that is too fast to hold anything back, for its one other gift:
 * it cuts what is longer than its bucket into segments. Its rate says whether it does, and for which
 * MTU, since the kernel does not tell so short a bucket back.
 */
export interface LeafQueue {
  rate: number;
  burstBytes: number;
  limitBytes: number;
}

/** What tc calls rate, ceil, burst and cburst, in bytes. */
export interface HtbRates {
  rate: number;
  ceil: number;
  burstBytes: number;
  cburstBytes: number;
}

/** The options of a network that shape the arithmetic. */
export interface ShapingDefaults {
  uploadBurstMultiplier: number;
  downloadBurstMultiplier: number;
  downloadLatencyMs: number;
  uploadLatencyMs: number;
  baseLimit: BitsPerSecond;
  /** Of the TAPs, in bytes: what is longer than a bucket and no segments is lost. */
  mtu: number;
}

/** Ethernet's, and a TAP's when nobody says another. */
export const USUAL_MTU = 1500;
/** What IPv4 needs, and the most a TAP takes: tun.c leaves room for a frame's header. */
export const LEAST_MTU = 68;
export const LARGEST_MTU = 65_521;
const HEADER_BYTES = 14;
/** A frame's header and room for tags: what a bucket must hold beside the MTU to pass anything. */
const HEADROOM_BYTES = 40;
/**
 * A bucket is what the rate brings in one 250 Hz tick, the slowest timer a distribution kernel has.
 */
const TICKS_PER_SECOND = 250;
const FULL_FRAME_BYTES = USUAL_MTU + HEADER_BYTES;
/** Fewer leave TCP nothing to see a loss by. */
const LEAST_FULL_FRAMES = 4;
/** One in service and one that waits, where the MTU is large. */
const LEAST_LONGEST_FRAMES = 2;
/** 64 KB as queues count it: each of its 46 segments with headers. */
const SEGMENTED_FRAME_BYTES = 46 * FULL_FRAME_BYTES;
/**
 * One such frame in service and one that waits. With room for a single one TCP stands still: at 10
 * and 45 mbit it got 1 to 7 % of the rate, with two 99 %.
 */
const WHOLE_FRAMES_QUEUE_BYTES = 2 * SEGMENTED_FRAME_BYTES;
/** Cutting costs the host a frame's way for each segment: 8,300 a second at 100 mbit. */
const FASTEST_TO_SPLIT = 12_500_000;
/**
 * So fast that no frame costs a nanosecond, or one that waits while the bucket shrinks would never be
 * sent (see plans/shape.ts): TBF never holds back, and HTB never finds it silent.
 */
const SPLITTING = 1e15;
const NOT_SPLITTING = 2e15;
/** More than any frame: nothing is cut. */
const NO_BURST_BYTES = 2 * 65_536;
/**
 * HTB serves this much from one class before the next when several borrow: about one segmented
 * frame.
 */
export const HTB_QUANTUM_BYTES = 60_000;

/**
 * The wishes of a request as Limits: ceil defaults to rate x multiplier; ceil under rate is
 * refused.
 */
export function resolveLimits(
  request: { download?: Bandwidth | null; upload?: UploadRequest | null },
  uploadBurstMultiplier: number,
): Limits {
  return {
    download:
      (request.download ?? null) === null ? null : parseBandwidth(request.download, "download"),
    upload:
      (request.upload ?? null) === null
        ? null
        : resolveUpload(request.upload, uploadBurstMultiplier),
  };
}

function resolveUpload(upload: unknown, multiplier: number): Limits["upload"] {
  if (typeof upload !== "object" || upload === null) {
    const rate = parseBandwidth(upload, "upload");
    return { rate, ceil: multiplied(rate, multiplier) };
  }
  const unknown = Object.keys(upload).find((key) => key !== "rate" && key !== "ceil");
  if (unknown) throw configError("upload", "only rate and ceil", upload);
  const { rate: wishedRate, ceil: wishedCeil } = upload as { rate?: unknown; ceil?: unknown };
  const rate = parseBandwidth(wishedRate, "upload.rate");
  const ceil =
    wishedCeil === undefined
      ? multiplied(rate, multiplier)
      : parseBandwidth(wishedCeil, "upload.ceil");
  if (ceil < rate) throw configError("upload.ceil", `at least upload.rate (${rate})`, wishedCeil);
  return { rate, ceil };
}

/**
 * A group's total: a bandwidth is guaranteed and the most; so is the ceil, where it is left out, the
 * rate.
 */
export function resolveGroupUpload(upload: unknown): GroupLimits {
  return resolveUpload(upload, 1) as GroupLimits;
}

function multiplied(rate: BitsPerSecond, multiplier: number): BitsPerSecond {
  return Math.min(Math.floor(rate * multiplier), Number.MAX_SAFE_INTEGER);
}

/**
 * What the sum of guarantees counts for a guest: its upload rate, or the base limit when it is
 * unlimited.
 */
export function guaranteedUpload(limits: Limits, baseLimit: BitsPerSecond): BitsPerSecond {
  return limits.upload?.rate ?? baseLimit;
}

/** The limits a slot is made with, and a guest keeps until its own are in place. */
export function baseLimits(baseLimit: BitsPerSecond): Limits {
  return { download: baseLimit, upload: { rate: baseLimit, ceil: baseLimit } };
}

/** Limits in the kernel's units. Rates round down; buckets and queues round up. */
export function toKernelLimits(limits: Limits, defaults: ShapingDefaults): KernelLimits {
  const download = toBytesPerSecond(limits.download ?? UNLIMITED);
  // bucket = rate x multiplier / 250
  const burstBytes = Math.max(
    Math.ceil((download * defaults.downloadBurstMultiplier) / TICKS_PER_SECOND),
    smallestBurst(defaults.mtu),
  );
  // TBF cuts frames that are longer than its bucket; others need room as they are.
  const longest = Math.min(burstBytes, WHOLE_FRAMES_QUEUE_BYTES);
  // queue = what the rate carries in the latency; while packets wait the bucket is empty
  const queue = Math.ceil((download * defaults.downloadLatencyMs) / 1000);
  const upload = limits.upload ?? {
    rate: defaults.baseLimit,
    ceil: Math.max(UNLIMITED, defaults.baseLimit),
  };
  const htb = htbRates(upload);
  return {
    tbf: {
      rate: download,
      burstBytes: Math.min(burstBytes, 0xffffffff),
      limitBytes: Math.min(Math.max(queue, longest, smallestQueue(defaults.mtu)), 0xffffffff),
    },
    htb: {
      ...htb,
      leaf: leafQueue(htb, defaults),
    },
  };
}

/** What TAPs get at a bridge of this MTU. */
export function tapMtu(bridgeMtu: number): number {
  return Math.min(bridgeMtu, LARGEST_MTU);
}

/** Guests may send more than a small MTU: their TAP does not mind. */
function smallestBurst(mtu: number): number {
  return Math.max(mtu, USUAL_MTU) + HEADROOM_BYTES;
}

function smallestQueue(mtu: number): number {
  return Math.max(
    LEAST_FULL_FRAMES * FULL_FRAME_BYTES,
    LEAST_LONGEST_FRAMES * (mtu + HEADER_BYTES),
  );
}

/**
 * What the guaranteed rate carries in the latency, or the ceil in a tenth of it, up to two segmented
 * frames: with less TCP cannot use what it borrows. Where the rate's part is less than two such frames
 * they are cut, unless the guest may send so fast that cutting would cost the host too much.
 */
function leafQueue(
  { rate, ceil }: HtbRates,
  { uploadLatencyMs, mtu }: Pick<ShapingDefaults, "uploadLatencyMs" | "mtu">,
): LeafQueue {
  const carried = (bytesPerSecond: number, ms: number) => Math.ceil((bytesPerSecond * ms) / 1000);
  const bytes = Math.min(carried(rate, uploadLatencyMs), 0xffffffff);
  if (bytes < WHOLE_FRAMES_QUEUE_BYTES && ceil <= FASTEST_TO_SPLIT) {
    const borrowed = Math.min(carried(ceil, uploadLatencyMs / 10), WHOLE_FRAMES_QUEUE_BYTES);
    const limitBytes = Math.max(bytes, borrowed, smallestQueue(mtu));
    const burstBytes = smallestBurst(mtu);
    return { rate: SPLITTING + burstBytes - smallestBurst(USUAL_MTU), burstBytes, limitBytes };
  }
  const limitBytes = Math.max(bytes, WHOLE_FRAMES_QUEUE_BYTES);
  return { rate: NOT_SPLITTING, burstBytes: NO_BURST_BYTES, limitBytes };
}

/**
 * The limit of the bfifo that the release before gave a class of this rate: a guest keeps it until its
 * limits change, because a new queue loses what waits in the old one.
 */
function formerLeafBytes(rate: number): number {
  return Math.min(Math.ceil(rate / 10) + 256 * 1024, 0xffffffff);
}

/** The rates of an HTB class in bytes per second, and its buckets. */
function htbRates(upload: GroupLimits): HtbRates {
  const rate = toBytesPerSecond(upload.rate);
  const ceil = toBytesPerSecond(upload.ceil);
  return { rate, ceil, burstBytes: htbBucket(rate), cburstBytes: htbBucket(ceil) };
}

/**
 * Of a group's class. Without limits it guarantees nothing, so that its guests lend and borrow as if
 * they stood under the capacity class themselves.
 */
export function groupRates(limits: GroupLimits | null): HtbRates {
  return htbRates(limits ?? { rate: LEAST_GROUP_RATE, ceil: UNLIMITED });
}

/**
 * HTB's bucket for a rate in bytes per second: what it brings in one tick, and a frame on top. Longer
 * frames pass all the same: HTB lends the rest.
 */
export function htbBucket(rate: number): number {
  return Math.min(Math.ceil(rate / TICKS_PER_SECOND) + smallestBurst(USUAL_MTU), 0xffffffff);
}

/** A class's queue in the kernel: the TBF of this release, or the bfifo of the one before, which has no rate. */
export interface FoundLeaf {
  rate?: number;
  limitBytes: number;
}

/**
 * Whether a leaf is the wanted one, or what the release before gave a class of this rate: a new queue
 * would lose what waits in that.
 */
export function isLeafRight(
  found: FoundLeaf | undefined,
  wanted: Pick<LeafQueue, "rate" | "limitBytes">,
  classRate: number,
): boolean {
  if (found?.rate === undefined) return found?.limitBytes === formerLeafBytes(classRate);
  return found.rate === wanted.rate && found.limitBytes === wanted.limitBytes;
}

/** The kernel keeps buckets as time, in ticks of 64 ns, and the way there and back rounds twice. */
const BUCKET_ROUNDING_SECONDS = 2 * 64e-9;

/** Whether a bucket that the kernel tells is the wanted one, at a rate in bytes per second. */
export function isSameBucket(bytes: number, wanted: number, rate: number): boolean {
  return Math.abs(bytes - wanted) <= rate * BUCKET_ROUNDING_SECONDS + 2;
}

/** True when both ask for the same. */
export function sameLimits(a: Limits, b: Limits): boolean {
  return (
    a.download === b.download &&
    a.upload?.rate === b.upload?.rate &&
    a.upload?.ceil === b.upload?.ceil
  );
}
