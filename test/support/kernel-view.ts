// What the kernel says about one guest, one link, one class: for tests that look at forknet's work
// from outside. Independent of src/ but for the addon's dumps. Whole states are compared in
// kernel-state.ts.

import { isDeepStrictEqual } from "node:util";
import { onTestFinished } from "vitest";
import { loadAddon } from "../../src/kernel/addon.js";
import type {
  ClassInfo,
  LinkInfo,
  NeighborInfo,
  Netlink,
  QdiscInfo,
} from "../../src/kernel/binding.js";
import type { Message } from "../../src/kernel/messages.js";
import { type KernelState, readNetwork } from "./kernel-state.js";

const INGRESS = 0xfffffff2;
const EGRESS = 0xfffffff3;
const HTB_ROOT = 0x10000;
const LEASE_BYTES = 288;
const SETTINGS_BYTES = 32;
const TEXT_BYTES = 64;
const ID_AT = 64;

/** Uses a netlink socket and closes it. */
export function withNetlink<T>(use: (netlink: Netlink) => T): T {
  const netlink = new (loadAddon().Netlink)();
  try {
    return use(netlink);
  } finally {
    netlink.close();
  }
}

/** Sends messages as an outsider would with `ip` and `tc`; throws when one is refused. */
export function tellKernel(...messages: Message[]): void {
  const refused = withNetlink((netlink) => netlink.talk(messages)).find(
    (refusal) => refusal !== null,
  );
  if (refused) throw new Error(`refused: errno ${refused.errno} ${refused.text}`);
}

export function linkNamed(name: string): LinkInfo | undefined {
  return withNetlink((netlink) => netlink.link({ name }));
}

/** Throws when there is no such link. */
export function indexOf(name: string): number {
  const link = linkNamed(name);
  if (!link) throw new Error(`There is no link named ${name}`);
  return link.ifindex;
}

export function deleteLink(name: string): void {
  tellKernel({ op: "link.delete", ifindex: indexOf(name) });
}

/**
 * A TAP that a process died over, or somebody else's: persistent, with this alias, on a bridge or
 * on none.
 */
export function makeTap(name: string, options: { alias?: string; master?: string }): number {
  const addon = loadAddon();
  const { fd, ifindex } = addon.openTap({ name });
  addon.setTapPersistent(fd, true);
  addon.closeFd(fd);
  onTestFinished(() => {
    if (linkNamed(name)) deleteLink(name);
  });
  if (options.alias) tellKernel({ op: "link.set", ifindex, alias: options.alias });
  if (options.master) tellKernel({ op: "link.set", ifindex, master: indexOf(options.master) });
  return ifindex;
}

/** A link of somebody else: an IFB, up, with addresses. */
export function makeForeignLink(
  name: string,
  ...addresses: { ip: number; prefixLength: number }[]
): number {
  tellKernel({ op: "link.create", name, kind: "ifb" });
  const ifindex = indexOf(name);
  tellKernel({ op: "link.set", ifindex, up: true });
  for (const address of addresses) tellKernel({ op: "address.add", ifindex, ...address });
  return ifindex;
}

/** Names of the bridge's TAPs that are up and wait for a guest. */
export function warmSlots(bridge: string): string[] {
  const taps = withNetlink((netlink) => netlink.links({ kind: "tun", master: indexOf(bridge) }));
  return taps
    .filter(({ up, alias }) => up && alias.startsWith("forknet1 /slot"))
    .map(({ name }) => name);
}

/** Everything of the namespace that is not an open file. */
export function readNetworkLines(): KernelState {
  return withNetlink(readNetwork);
}

/** The download limit in force, in bytes per second. */
export function tbfOf(tap: string): QdiscInfo["tbf"] {
  return withNetlink(
    (netlink) => netlink.qdiscs(indexOf(tap)).find(({ kind }) => kind === "tbf")?.tbf,
  );
}

/** A class of the shaper, by what the allocation calls it: "1:10". */
export function classNamed(shaper: string, classId: string): ClassInfo | undefined {
  const minor = Number.parseInt(classId.slice(2), 16);
  return withNetlink((netlink) =>
    netlink.classes(indexOf(shaper)).find(({ handle }) => handle === (HTB_ROOT | minor)),
  );
}

/** The queue under a class. */
export function leafOf({ ifindex, handle, leaf }: ClassInfo): QdiscInfo | undefined {
  return withNetlink((netlink) =>
    netlink.qdiscs(ifindex).find((one) => one.parent === handle && one.handle === leaf),
  );
}

/** Names of the BPF filters at both hooks of a TAP. */
export function filterNames(tap: string): {
  ingress: (string | undefined)[];
  egress: (string | undefined)[];
} {
  const ifindex = indexOf(tap);
  return withNetlink((netlink) => ({
    ingress: netlink.filters(ifindex, INGRESS).map(({ bpf }) => bpf?.name),
    egress: netlink.filters(ifindex, EGRESS).map(({ bpf }) => bpf?.name),
  }));
}

export function addressesOf(bridge: string): number[] {
  const ifindex = indexOf(bridge);
  return withNetlink((netlink) => netlink.addresses(ifindex)).map(({ ip }) => ip);
}

export function neighborsOf(bridge: string): NeighborInfo[] {
  const ifindex = indexOf(bridge);
  return withNetlink((netlink) => netlink.neighbors(ifindex)).filter(
    (entry) => entry.ifindex === ifindex,
  );
}

/** Forwarding entries of one port. */
export function fdbOf(bridge: string, tap: string): { mac: number; state: number }[] {
  const port = indexOf(tap);
  const entries = withNetlink((netlink) => netlink.fdb(indexOf(bridge)))
    .filter(({ ifindex }) => ifindex === port)
    .map(({ mac, state }) => ({ mac, state }));
  // A kernel that has VLANs in its bridges keeps each once more, for VLAN 1.
  return entries.filter(
    (entry, i) => entries.findIndex((one) => isDeepStrictEqual(one, entry)) === i,
  );
}

/** "10.100.0.7" as the kernel's dumps give it here. */
export function ipNumber(ip: string): number {
  return ip.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function macNumber(mac: string): number {
  return Number.parseInt(mac.replaceAll(":", ""), 16);
}

/** One entry of the lease map, as far as tests ask. */
export interface LeaseEntry {
  instanceId: string;
  classMinor: number;
  blocked: boolean;
}

/** The lease map by ifindex, found through the classifier on the shaper. */
export function readLeases(shaper: string): Map<number, LeaseEntry> {
  return withMap(shaper, HTB_ROOT, "leases", (fd) => {
    const entries = loadAddon().bpf.mapEntries(fd, 4, LEASE_BYTES);
    return new Map(entries.map(({ key, value }) => [key.readUInt32LE(0), decode(value)]));
  });
}

/** What the programs are told of the network, found through the guard of a TAP. */
export function readSettings(tap: string): string | undefined {
  return withMap(tap, INGRESS, "settings", (fd) =>
    loadAddon().bpf.mapGet(fd, Buffer.alloc(4), SETTINGS_BYTES)?.toString("hex"),
  );
}

/** A map of the program that the filter at this place runs. */
function withMap<T>(link: string, parent: number, map: string, use: (fd: number) => T): T {
  const addon = loadAddon();
  const [filter] = withNetlink((netlink) => netlink.filters(indexOf(link), parent));
  if (!filter?.bpf) throw new Error(`There is no filter on ${link}`);
  const program = addon.bpf.programById(filter.bpf.programId);
  const maps = program.mapIds.map((id) => addon.bpf.mapById(id));
  try {
    const found = maps.find(({ name }) => name === map);
    if (!found) throw new Error(`The filter on ${link} has no map named ${map}`);
    return use(found.fd);
  } finally {
    for (const { fd } of [program, ...maps]) addon.closeFd(fd);
  }
}

function decode(value: Buffer): LeaseEntry {
  const id = value.toString("latin1", ID_AT, ID_AT + TEXT_BYTES);
  return {
    instanceId: id.slice(0, id.indexOf("\0")),
    classMinor: value.readUInt16LE(14),
    blocked: value.readUInt32LE(4) === 1,
  };
}

/** The HTB classes of a link: a TBF, which every leaf is, counts as a class, too. */
export function htbClasses(link: string): ClassInfo[] {
  return withNetlink((netlink) => netlink.classes(indexOf(link))).filter(
    ({ kind }) => kind === "htb",
  );
}
