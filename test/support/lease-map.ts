// The lease map as an intruder would use it: found through the classifier, written behind the
// network's back. Its file descriptors are closed when the test has finished.

import { onTestFinished } from "vitest";
import { loadAddon } from "../../src/kernel/addon.js";
import type { FilterBpf } from "../../src/kernel/messages.js";
import { indexOf, withNetlink } from "./kernel-view.js";

const HTB_ROOT = 0x10000;
const LEASE_BYTES = 288;

export class LeaseMap {
  readonly #maps: ReadonlyMap<string, number>;

  private constructor(maps: ReadonlyMap<string, number>) {
    this.#maps = maps;
  }

  /** Throws when there is no classifier. */
  static in(shaper: string): LeaseMap {
    const addon = loadAddon();
    const [filter] = withNetlink((netlink) => netlink.filters(indexOf(shaper), HTB_ROOT));
    if (!filter?.bpf) throw new Error(`There is no classifier on ${shaper}`);
    const program = addon.bpf.programById(filter.bpf.programId);
    const maps = program.mapIds.map((id) => addon.bpf.mapById(id));
    onTestFinished(() => {
      for (const { fd } of [program, ...maps]) addon.closeFd(fd);
    });
    return new LeaseMap(new Map(maps.map(({ name, fd }) => [name, fd])));
  }

  delete(ifindex: number): void {
    loadAddon().bpf.mapDelete(this.#leases, keyOf(ifindex));
  }

  change(ifindex: number, edit: (lease: Buffer) => void): void {
    const { bpf } = loadAddon();
    const lease = bpf.mapGet(this.#leases, keyOf(ifindex), LEASE_BYTES);
    if (!lease) throw new Error(`There is no lease for ${ifindex}`);
    edit(lease);
    bpf.mapSet(this.#leases, keyOf(ifindex), lease);
  }

  /** Copies a lease to another TAP. */
  copy(from: number, to: number): void {
    const { bpf } = loadAddon();
    const lease = bpf.mapGet(this.#leases, keyOf(from), LEASE_BYTES);
    if (!lease) throw new Error(`There is no lease for ${from}`);
    bpf.mapSet(this.#leases, keyOf(to), lease);
  }

  /** A message that puts a classifier, which drops nothing, in the place of a filter of ours. */
  otherProgram(ifindex: number, parent: number, name: string): FilterBpf {
    const addon = loadAddon();
    const program = addon.bpf.loadProgram("classify", Object.fromEntries(this.#maps));
    onTestFinished(() => addon.closeFd(program.fd));
    const place = { priority: 1, handle: 1, programFd: program.fd };
    return { op: "filter.bpf", verb: "replace", ifindex, parent, ...place, name };
  }

  get #leases(): number {
    const fd = this.#maps.get("leases");
    if (fd === undefined) throw new Error("The classifier has no map named leases");
    return fd;
  }
}

function keyOf(ifindex: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(ifindex);
  return key;
}
