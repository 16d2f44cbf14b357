// The maps of a network's programs: their sizes, made afresh or found again through a filter that
// uses them, and the settings in one of them.

import { HTB_ROOT, INGRESS, type NetworkFacts } from "../facts.js";
import { macOf, type Subnet } from "../identity/ipv4.js";
import { failureOf, type Kernel } from "../kernel/kernel.js";
import { LEASE_BYTES } from "../lease/lease.js";
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
 * any TAP's guard. undefined when there are none, and without CAP_SYS_ADMIN, which looking up by id
 * needs. The caller closes them.
 */
export function findMaps(
  kernel: Kernel,
  shaperIfindex: number | undefined,
  taps: readonly number[],
): Maps | undefined {
  const ids = new Set<number>();
  if (shaperIfindex) addProgramIds(kernel, shaperIfindex, HTB_ROOT, ids);
  for (const tap of taps) {
    if (ids.size > 0) break;
    addProgramIds(kernel, tap, INGRESS, ids);
  }
  for (const id of ids) {
    const maps = mapsOfProgram(kernel, id);
    if (maps) return maps;
  }
  return undefined;
}

function addProgramIds(kernel: Kernel, ifindex: number, parent: number, ids: Set<number>): void {
  for (const { bpf } of kernel.filters(ifindex, parent)) {
    if (bpf?.name.startsWith("forknet-")) ids.add(bpf.programId);
  }
}

/**
 * The classifier does not use `settings`: what the program lacks is made anew, and the filters are
 * brought to programs that use it.
 */
function mapsOfProgram(kernel: Kernel, programId: number): Maps | undefined {
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
    if (maps.leases === undefined) {
      for (const fd of opened) kernel.closeFd(fd);
      return undefined;
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
    if (failureOf(error, "BPF", "").errno === EPERM) return undefined;
    throw error;
  }
}

/**
 * Tells the programs about the network. Written at every open, so that an adopted map follows new
 * options.
 */
export function writeSettings(
  kernel: Kernel,
  maps: Maps,
  subnet: Subnet,
  shaperIfindex: number,
  { isolated, mirrored, checksums }: Pick<NetworkFacts, "isolated" | "mirrored" | "checksums">,
  undo: Undo,
): void {
  const key = Buffer.alloc(4);
  const former = kernel.bpf.mapGet(maps.settings, key, LAYOUT.settings.valueSize);
  if (former) undo.push("settings", () => kernel.bpf.mapSet(maps.settings, key, former));
  const settings = Buffer.alloc(LAYOUT.settings.valueSize);
  settings.writeUInt32BE(subnet.network, 0);
  settings.writeUInt32BE(subnet.mask, 4);
  settings.writeUInt32BE(subnet.gateway, 8);
  settings.writeUInt32LE(shaperIfindex, 12);
  const flags =
    (isolated ? FLAG_ISOLATED : 0) | (mirrored ? FLAG_MIRRORED : 0) | CHECKSUM_FLAGS[checksums];
  settings.writeUInt32LE(flags, 16);
  settings.writeUIntBE(macOf(subnet.gateway), 20, 6);
  kernel.bpf.mapSet(maps.settings, key, settings);
}
