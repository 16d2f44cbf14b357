// What the kernel holds for one network and what the network says of it, as lines that can be
// compared: beyond kernel-state.ts the lease map, the limits that are in force, and the
// allocations.

import type { Network } from "../../dist/index.js";
import { loadAddon } from "../../src/kernel/addon.js";
import type { LinkInfo, Netlink } from "../../src/kernel/binding.js";
import { type KernelState, readNetwork } from "./kernel-state.js";

const HTB_ROOT = 0x0001_0000;
const LEASE_BYTES = 288;
const CLASS_AT = 14;
/**
 * The top bit of a leaf's handle tells one use of its class from the next; a failed use may leave
 * it turned.
 */
const LEAF_GENERATION = 0x8000_0000;

export interface LeaseEntry {
  ifindex: number;
  value: Buffer;
  classMinor: number;
}

/** The lease map, found through the classifier on the shaper; empty when there is no shaper. */
export function readLeaseMap(netlink: Netlink): LeaseEntry[] {
  const addon = loadAddon();
  const shaper = netlink.links({ kind: "ifb" })[0];
  const bpf = shaper && netlink.filters(shaper.ifindex, HTB_ROOT)[0]?.bpf;
  if (!bpf) return [];
  const program = addon.bpf.programById(bpf.programId);
  const opened = [program.fd];
  try {
    const maps = program.mapIds.map((id) => addon.bpf.mapById(id));
    opened.push(...maps.map(({ fd }) => fd));
    const leases = maps.find(({ name }) => name === "leases");
    if (!leases) return [];
    return addon.bpf.mapEntries(leases.fd, 4, LEASE_BYTES).map(({ key, value }) => ({
      ifindex: key.readUInt32LE(0),
      value,
      classMinor: value.readUInt16LE(CLASS_AT),
    }));
  } finally {
    for (const fd of opened) addon.closeFd(fd);
  }
}

/**
 * Links, qdiscs, classes, filters, neighbours, leases and enforced limits of the namespace, and the
 * allocations.
 */
export function readEverything(network?: Network): KernelState {
  const addon = loadAddon();
  const netlink = new addon.Netlink();
  try {
    const leases = readLeaseMap(netlink);
    const lines = readNetwork(netlink).map(withoutLeafGeneration);
    for (const { ifindex, value } of leases)
      lines.push(`lease of ${ifindex}: ${value.toString("hex")}`);
    const used = new Set(leases.map(({ classMinor }) => classMinor));
    for (const link of netlink.links())
      lines.push(...limitsOf(netlink, link, used), `group ${link.group} of ${link.name}`);
    for (const allocation of network?.listAllocations() ?? [])
      lines.push(JSON.stringify(allocation));
    return lines.sort();
  } finally {
    netlink.close();
  }
}

function withoutLeafGeneration(line: string): string {
  return line.replace(
    /^(qdisc tbf )([0-9a-f]+)(?= parent \S+ on fku)/,
    (_, kind: string, handle: string) => {
      return kind + (Number.parseInt(handle, 16) & ~LEAF_GENERATION).toString(16);
    },
  );
}

/**
 * The limits of TAPs, and of the classes that a guest uses: a class on the free list has those of
 * its last guest.
 */
function limitsOf(
  netlink: Netlink,
  { ifindex, name, kind }: LinkInfo,
  used: ReadonlySet<number>,
): string[] {
  if (kind === "ifb") {
    return netlink
      .classes(ifindex)
      .filter(({ handle }) => used.has(handle & 0xffff))
      .map(({ handle, rate, ceil }) => `class ${handle.toString(16)} rate ${rate} ceil ${ceil}`);
  }
  return netlink
    .qdiscs(ifindex)
    .flatMap(({ tbf }) => (tbf ? [`tbf of ${name} ${JSON.stringify(tbf)}`] : []));
}
