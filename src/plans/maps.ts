// The maps of a network's programs: their sizes, made afresh or found again through a filter that
// uses them, and the settings in one of them.

import { HTB_ROOT, INGRESS, type NetworkFacts } from "../facts.js";
import type { Subnet } from "../identity/ipv4.js";
import { failureOf, type Kernel } from "../kernel/kernel.js";
import type { Ipv4, Mac } from "../kernel/messages.js";
import { keyOf, LEASE_BYTES } from "../lease/lease.js";
import type { Leased } from "./ownership.js";
import type { Undo } from "./undo.js";

export type Maps = NetworkFacts["maps"];

/**
 * Sizes and names as in native/bpf/layout.h; a map that differs is of another version and is not
 * adopted.
 */
const LAYOUT = {
  leases: {
    type: "hash",
    keySize: 4,
    valueSize: LEASE_BYTES,
    maxEntries: 65_536,
    noPrealloc: true,
  },
  settings: { type: "array", keySize: 4, valueSize: 32, maxEntries: 1 },
  drops: { type: "percpu_array", keySize: 4, valueSize: 8, maxEntries: 16 },
} as const;
export const MAP_NAMES = Object.keys(LAYOUT) as (keyof Maps)[];

const EPERM = 1;
const GATEWAY_AT = 8;
const FLAG_ISOLATED = 1;
const FLAG_MIRRORED = 2;
/** For guards that judge by helpers. */
const CHECKSUM_FLAGS = { kfunc: 0, helpers: 0, drop: 4, accept: 8 } as const;

/** Empty ones. */
export function createMaps(kernel: Kernel, undo: Undo): Maps {
  const maps: Partial<Maps> = {};
  for (const name of MAP_NAMES) {
    const { fd } = kernel.bpf.createMap({ name, ...LAYOUT[name] });
    undo.push(`map ${name}`, () => kernel.closeFd(fd));
    maps[name] = fd;
  }
  return maps as Maps;
}

/**
 * The maps of an earlier process live as long as a filter uses them: the shaper's classifier, or
 * the guard of any TAP, whose settings say which network it is of. undefined when there are none,
 * and without CAP_SYS_ADMIN, which looking up by id needs. The caller closes them.
 */
export function findMaps(
  kernel: Kernel,
  gateway: Ipv4,
  shaperIfindex: number | undefined,
): Maps | undefined {
  const tried = new Set<number>();
  for (const { ifindex, parent } of places(kernel, shaperIfindex)) {
    for (const { bpf } of kernel.filters(ifindex, parent)) {
      if (!bpf?.name.startsWith("forknet-") || tried.has(bpf.programId)) continue;
      tried.add(bpf.programId);
      const maps = mapsOfProgram(kernel, gateway, bpf.programId);
      // With thousands of TAPs there is no need to be refused at each.
      if (maps !== "none") return maps === "denied" ? undefined : maps;
    }
  }
  return undefined;
}

/** Where programs of a network are; TAPs are listed only when somebody gets so far. */
function* places(kernel: Kernel, shaperIfindex: number | undefined) {
  if (shaperIfindex) yield { ifindex: shaperIfindex, parent: HTB_ROOT };
  for (const { ifindex } of kernel.links({ kind: "tun" })) yield { ifindex, parent: INGRESS };
}

/**
 * The classifier does not use `settings`: what the program lacks is made anew, and the filters are
 * brought to programs that use it.
 */
function mapsOfProgram(kernel: Kernel, gateway: Ipv4, programId: number): Maps | "none" | "denied" {
  const { bpf } = kernel;
  const opened: number[] = [];
  try {
    const program = bpf.programById(programId);
    opened.push(program.fd);
    const maps: Partial<Maps> = {};
    for (const id of program.mapIds) {
      const map = bpf.mapById(id);
      opened.push(map.fd);
      const name = MAP_NAMES.find((known) => known === map.name);
      if (!name) continue;
      const { keySize, valueSize, maxEntries } = LAYOUT[name];
      const isKnown =
        map.keySize === keySize && map.valueSize === valueSize && map.maxEntries === maxEntries;
      if (isKnown) maps[name] = map.fd;
    }
    if (maps.leases === undefined || isOfAnother(kernel, gateway, maps.settings)) {
      for (const fd of opened) kernel.closeFd(fd);
      return "none";
    }
    for (const name of MAP_NAMES) {
      if (maps[name] !== undefined) continue;
      const { fd } = bpf.createMap({ name, ...LAYOUT[name] });
      opened.push(fd);
      maps[name] = fd;
    }
    const kept = new Set(Object.values(maps));
    for (const fd of opened) if (!kept.has(fd)) kernel.closeFd(fd);
    return maps as Maps;
  } catch (error) {
    for (const fd of opened) kernel.closeFd(fd);
    if (failureOf(error, "BPF", "").errno === EPERM) return "denied";
    throw error;
  }
}

/** The TAPs that have a lease there. */
export function leasedIn({ bpf }: Pick<Kernel, "bpf">, { leases }: Pick<Maps, "leases">): Leased {
  return { has: (ifindex) => bpf.mapGet(leases, keyOf(ifindex), LEASE_BYTES) !== undefined };
}

/** Whether the map that this TAP's own guard reads has a lease for it. Needs CAP_SYS_ADMIN. */
export function isLeasedByGuard(kernel: Kernel, gateway: Ipv4, ifindex: number): boolean {
  return kernel.filters(ifindex, INGRESS).some(({ bpf }) => {
    if (!bpf?.name.startsWith("forknet-")) return false;
    const maps = mapsOfProgram(kernel, gateway, bpf.programId);
    if (typeof maps === "string") return false;
    try {
      return leasedIn(kernel, maps).has(ifindex);
    } finally {
      for (const name of MAP_NAMES) kernel.closeFd(maps[name]);
    }
  });
}

/** A program that does not tell was found at the shaper, which is named after the gateway. */
function isOfAnother(kernel: Kernel, gateway: Ipv4, settings: number | undefined): boolean {
  const { valueSize } = LAYOUT.settings;
  const value = settings && kernel.bpf.mapGet(settings, Buffer.alloc(4), valueSize);
  return value !== undefined && value !== 0 && value.readUInt32BE(GATEWAY_AT) !== gateway;
}

type ToldFacts = Pick<NetworkFacts, "isolated" | "mirrored" | "checksums">;

/**
 * Tells the programs about the network. Written at every open, so that an adopted map follows new
 * options.
 */
export function writeSettings(
  kernel: Kernel,
  maps: Maps,
  subnet: Subnet,
  told: ToldFacts & { shaper: number; mac: Mac },
  undo: Undo,
): void {
  const { isolated, mirrored, checksums, shaper, mac } = told;
  const key = Buffer.alloc(4);
  const former = kernel.bpf.mapGet(maps.settings, key, LAYOUT.settings.valueSize);
  if (former) undo.push("settings", () => kernel.bpf.mapSet(maps.settings, key, former));
  const settings = Buffer.alloc(LAYOUT.settings.valueSize);
  settings.writeUInt32BE(subnet.network, 0);
  settings.writeUInt32BE(subnet.mask, 4);
  settings.writeUInt32BE(subnet.gateway, GATEWAY_AT);
  settings.writeUInt32LE(shaper, 12);
  const flags =
    (isolated ? FLAG_ISOLATED : 0) | (mirrored ? FLAG_MIRRORED : 0) | CHECKSUM_FLAGS[checksums];
  settings.writeUInt32LE(flags, 16);
  settings.writeUIntBE(mac, 20, 6);
  kernel.bpf.mapSet(maps.settings, key, settings);
}
