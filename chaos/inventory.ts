// Everything the kernel holds of one network, as lines that can be compared with an expectation: read through dumps, not
// through the network's own bookkeeping.

import { decodeLease, type Lease } from "../dist/lease/lease.js";
import { loadAddon } from "../src/kernel/addon.js";
import type { LinkInfo, Netlink } from "../src/kernel/binding.js";
import type { KernelState } from "../test/support/kernel-state.js";

export const CLSACT = { ingress: 0xffff_fff2, egress: 0xffff_fff3 };
const HTB_ROOT = 0x0001_0000;
const LEASE_BYTES = 288;
const NUD_PERMANENT = 0x80;
const NUD_STATIC = 0x40;
/** Classes below are the network's own. */
const FIRST_GUEST_MINOR = 0x10;

export interface Inventory {
  lines: KernelState;
  /** TAPs by ifindex. */
  taps: ReadonlyMap<number, LinkInfo>;
  leases: ReadonlyMap<number, Lease>;
  /** Guests' classes, those on the free list included. */
  minors: readonly number[];
}

export function readInventory(netlink: Netlink, bridge: string, shaper: string): Inventory {
  const links = netlink.links();
  const taps = new Map(
    links.filter(({ kind }) => kind === "tun").map((link) => [link.ifindex, link]),
  );
  const root = links.find(({ name }) => name === bridge);
  const ifb = links.find(({ name }) => name === shaper);
  const leases = ifb ? readLeases(netlink, ifb) : new Map<number, Lease>();
  const { lines, minors } = ifb ? shaperLines(netlink, ifb) : { lines: [], minors: [] };
  return {
    lines: [
      ...links.map((link) => linkLine(link, root?.ifindex)),
      ...[...taps.values()].flatMap((tap) => tapLines(netlink, tap)),
      ...lines,
      ...(root ? bridgeLines(netlink, root, taps) : []),
      ...[...leases].map(([ifindex, { instanceId }]) => `lease of ${instanceId} for ${ifindex}`),
    ].sort(),
    taps,
    leases,
    minors,
  };
}

/** The kernel counts buckets in ticks of 64 ns, and a byte may get lost in that. */
function tens(bytes: number): number {
  return Math.ceil(bytes / 10) * 10;
}

function linkLine(link: LinkInfo, bridge: number | undefined): string {
  const { name, kind, alias, up, group, port, mtu, master } = link;
  const where = master === 0 ? "" : ` ${master === bridge ? "on the bridge" : `under ${master}`}`;
  const flags = Object.entries(port ?? {}).flatMap(([flag, value]) =>
    value === true ? [flag] : [],
  );
  const state = `${up ? "up" : "down"} group ${group} mtu ${mtu}${where}`;
  return `link ${name} ${kind} ${state} [${flags.join(" ")}] "${alias}"`;
}

function tapLines(netlink: Netlink, { ifindex, name }: LinkInfo): string[] {
  const qdiscs = netlink.qdiscs(ifindex).map(({ kind, tbf }) => {
    // The queue inside a TBF has a handle only while a change is under way.
    return tbf
      ? `tbf on ${name} ${tbf.rate} ${tens(tbf.burstBytes)} ${tbf.limitBytes}`
      : `${kind} on ${name}`;
  });
  const filters = Object.entries(CLSACT).flatMap(([hook, parent]) =>
    netlink.filters(ifindex, parent).map(({ bpf }) => `${bpf?.name} at ${hook} of ${name}`),
  );
  return [...qdiscs, ...filters];
}

function shaperLines(netlink: Netlink, { ifindex, name }: LinkInfo) {
  const qdiscs = netlink.qdiscs(ifindex);
  // A leaf is a TBF, which counts as a class, too.
  const classes = netlink.classes(ifindex).filter(({ kind }) => kind === "htb");
  const lines = [
    ...netlink.filters(ifindex, HTB_ROOT).map(({ bpf }) => `${bpf?.name} on ${name}`),
    ...qdiscs.flatMap(({ htb }) =>
      htb ? [`htb on ${name} default ${htb.defaultMinor} direct ${htb.directPackets}`] : [],
    ),
  ];
  const minors: number[] = [];
  for (const { handle, parent, leaf, rate, ceil, burstBytes, cburstBytes } of classes) {
    const minor = handle & 0xffff;
    const under = qdiscs.find((one) => one.parent === handle && one.handle === leaf);
    if (minor >= FIRST_GUEST_MINOR) minors.push(minor);
    // At the capacity's rate the bucket loses more than a byte in the ticks.
    const rates =
      minor < FIRST_GUEST_MINOR
        ? `${rate} ceil ${ceil}`
        : `${rate}/${tens(burstBytes)} ceil ${ceil}/${tens(cburstBytes)}`;
    const { tbf, bfifo } = under ?? {};
    const size = tbf ? `${tbf.rate} ${tbf.limitBytes}` : (bfifo?.limitBytes ?? "");
    const queue = `${under?.kind} ${size}`;
    lines.push(`class ${minor} under ${parent & 0xffff} ${rates} queue ${queue}`);
  }
  return { lines, minors };
}

function bridgeLines(
  netlink: Netlink,
  { ifindex }: LinkInfo,
  taps: ReadonlyMap<number, LinkInfo>,
): string[] {
  const fdb = netlink.fdb(ifindex).filter(({ state }) => state === NUD_STATIC);
  const neighbors = netlink.neighbors().filter(({ state }) => (state & NUD_PERMANENT) !== 0);
  return [
    ...fdb.map((one) => `fdb ${one.mac} on ${taps.get(one.ifindex)?.name ?? one.ifindex}`),
    ...neighbors.map(({ ip, mac }) => `neighbour ${ip} ${mac}`),
  ];
}

/** The lease map, found through the classifier. */
function readLeases(netlink: Netlink, shaper: LinkInfo): Map<number, Lease> {
  const addon = loadAddon();
  const leases = new Map<number, Lease>();
  const [filter] = netlink.filters(shaper.ifindex, HTB_ROOT);
  if (!filter?.bpf) return leases;
  const program = addon.bpf.programById(filter.bpf.programId);
  const opened = [program.fd];
  try {
    for (const id of program.mapIds) {
      const map = addon.bpf.mapById(id);
      opened.push(map.fd);
      if (map.name !== "leases") continue;
      for (const { key, value } of addon.bpf.mapEntries(map.fd, 4, LEASE_BYTES)) {
        const lease = decodeLease(value);
        if (lease) leases.set(key.readUInt32LE(0), lease);
      }
    }
    return leases;
  } finally {
    for (const fd of opened) addon.closeFd(fd);
  }
}

/** Which lease map each guard, gate and classifier uses: one for all, or some guest is judged by a dead one. */
export function leaseMapsInUse(netlink: Netlink, taps: Iterable<number>, shaper: number): number[] {
  const addon = loadAddon();
  const hooks = [...taps].flatMap((tap) =>
    Object.values(CLSACT).map((hook) => [tap, hook] as const),
  );
  const programs = new Set<number>();
  for (const [ifindex, parent] of [...hooks, [shaper, HTB_ROOT] as const])
    for (const { bpf } of netlink.filters(ifindex, parent)) if (bpf) programs.add(bpf.programId);
  const maps = new Set<number>();
  for (const id of programs) {
    const { fd, mapIds } = addon.bpf.programById(id);
    addon.closeFd(fd);
    for (const mapId of mapIds) {
      const map = addon.bpf.mapById(mapId);
      addon.closeFd(map.fd);
      if (map.name === "leases") maps.add(mapId);
    }
  }
  return [...maps];
}
