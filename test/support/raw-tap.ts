// A TAP as a VMM has it, with no guest stack behind: hand-made frames go in, and whatever the host
// sends comes out. The frames themselves are built and read in frames.ts.

import { execFileSync } from "node:child_process";
import { readSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { loadAddon } from "../../src/kernel/addon.js";
import { patiently } from "./patience.js";
import { GSO, VIRTIO_HEADER_BYTES, type VirtioFields, virtioHeader } from "./virtio.js";

export interface RawTapOptions {
  tap: string;
  /**
   * With a virtio header before every frame; hidden from the test. Default true, as a VMM opens it.
   */
  vnetHdr?: boolean;
  /** Must be as the TAP was created. Default false. */
  multiQueue?: boolean;
}

const UDP_AT = 34;
const UDP_CHECKSUM_OFFSET = 6;
const UDP_HEADER_BYTES = 8;
const LARGEST_FRAME_BYTES = 65_536 + VIRTIO_HEADER_BYTES;
const POLL_MS = 1;
const RECEIVE_MS = 5000;
const FORWARDING_MS = 3000;

/**
 * An open TAP. It asks for no offloads, so the host's frames arrive complete, checksums included;
 * but those that an earlier guest asked for stay with a persistent TAP. Take one that no guest has
 * used.
 */
export class RawTap {
  /** The open queue, for a test that goes its own way. */
  readonly fd: number;
  readonly ifindex: number;
  readonly #headerBytes: number;
  readonly #buffer = Buffer.alloc(LARGEST_FRAME_BYTES);
  #isOpen = true;

  /**
   * Opens an existing TAP of the current namespace and, when it is an UP port, waits until its
   * bridge takes its frames. Throws the addon's error when it is busy.
   */
  constructor(options: RawTapOptions) {
    const { tap: name, vnetHdr = true, multiQueue = false } = options;
    const addon = loadAddon();
    const netlink = new addon.Netlink();
    const link = netlink.link({ name });
    netlink.close();
    // Opening an unknown name would make a TAP that belongs to nobody.
    if (!link) throw new Error(`There is no TAP named ${name}`);
    const { fd, ifindex } = addon.openTap({ name, vnetHdr, multiQueue, nonBlocking: true });
    this.fd = fd;
    this.ifindex = ifindex;
    this.#headerBytes = vnetHdr ? VIRTIO_HEADER_BYTES : 0;
    if (link.master !== 0 && link.up) this.#awaitForwarding(name);
  }

  /**
   * Sends frames from the guest's side. Throws EIO when the TAP is down, EBADFD when it was
   * deleted.
   */
  send(...frames: Uint8Array[]): void {
    for (const frame of frames)
      writeSync(this.fd, Buffer.concat([Buffer.alloc(this.#headerBytes), frame]));
  }

  /**
   * Sends a frame with this virtio header before it. Throws EINVAL when the kernel can make no sense
   * of it.
   */
  sendWith(fields: VirtioFields, frame: Uint8Array): void {
    writeSync(this.fd, Buffer.concat([virtioHeader(fields), frame]));
  }

  /**
   * Sends a UDP frame whose checksum is pending: the sum of its pseudo header, to be finished by
   * whoever sends it on. Or that of the frame inside, `at` bytes from the start.
   */
  sendPending(frame: Uint8Array, at = 0): void {
    this.sendWith({ checksum: udpChecksum(at) }, frame);
  }

  /**
   * Sends a UDP frame with a pending checksum that stands for many, each with `segmentBytes` of its
   * payload (VIRTIO_NET_HDR_GSO_UDP_L4). Throws EINVAL on a kernel before 6.2.
   */
  sendSegments(frame: Uint8Array, segmentBytes: number): void {
    const linearBytes = UDP_AT + UDP_HEADER_BYTES;
    const segments = { gsoType: GSO.udpL4, linearBytes, segmentBytes };
    this.sendWith({ checksum: udpChecksum(0), ...segments }, frame);
  }

  /**
   * Sends a frame and asks for no more than `linearBytes` of it in one piece, which the kernel does
   * for frames above a page.
   */
  sendLinear(frame: Uint8Array, linearBytes: number): void {
    this.sendWith({ linearBytes }, frame);
  }

  /** One frame that is there already, or undefined. */
  read(): Buffer | undefined {
    try {
      const bytes = readSync(this.fd, this.#buffer);
      return Buffer.from(this.#buffer.subarray(this.#headerBytes, bytes));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EAGAIN") return undefined;
      throw error;
    }
  }

  /** Throws away what is there already, and says how many frames that were. */
  drain(): number {
    let count = 0;
    while (this.read()) count += 1;
    return count;
  }

  /**
   * The first frame that matches, undefined when none came in time: by default, long after one that
   * comes at all. Others are thrown away.
   */
  async receive(
    matches: (frame: Buffer) => boolean,
    withinMs = patiently(RECEIVE_MS),
  ): Promise<Buffer | undefined> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const frame = this.read();
      if (frame && matches(frame)) return frame;
      // Checked after a frame that does not match, too: a flood must not keep the test here.
      if (performance.now() >= deadline) return undefined;
      if (!frame) await sleep(POLL_MS);
    }
  }

  /**
   * What arrives before the first frame that matches, which was sent behind everything that is looked
   * for. Throws when it did not come in time.
   */
  async receiveUntil(isLast: (frame: Buffer) => boolean): Promise<Buffer[]> {
    const frames: Buffer[] = [];
    const last = await this.receive((frame) => {
      const isEnd = isLast(frame);
      if (!isEnd) frames.push(frame);
      return isEnd;
    });
    if (!last) throw new Error(`The last frame did not come, but ${frames.length} others`);
    return frames;
  }

  /** Idempotent. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    loadAddon().closeFd(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // The carrier that comes with opening reaches the bridge through a work queue; frames sent before
  // that are dropped.
  #awaitForwarding(name: string): void {
    const deadline = performance.now() + patiently(FORWARDING_MS);
    while (!execFileSync("bridge", ["link", "show", "dev", name]).includes(" state forwarding ")) {
      if (performance.now() < deadline) continue;
      this.close();
      throw new Error(`The bridge does not forward the frames of ${name}`);
    }
  }
}

function udpChecksum(at: number): { start: number; at: number } {
  return { start: at + UDP_AT, at: at + UDP_AT + UDP_CHECKSUM_OFFSET };
}
