// The guard, gate and classify programs with maps of their own, and the maps' contents as bytes
// made by hand. Of src/ it knows the addon and the names of the drop reasons (drops.test.ts proves
// them): a shared mistake in the layout would hide itself.

import { loadAddon } from "../../src/kernel/addon.js";
import type { Addon } from "../../src/kernel/binding.js";
import type { ProgramName } from "../../src/kernel/program-name.js";
import { DROP_REASONS } from "../../src/lease/drops.js";
import { ipBytes, macBytes } from "./frames.js";
import { IS_BEFORE_6_2 } from "./kernel-release.js";

/** The forms of the guards that the kernel takes: those that use helpers, and those that use kfuncs. */
export const GUARDS = IS_BEFORE_6_2 ? (["guard"] as const) : (["guard", "guard_kfunc"] as const);
export const GUARDS_THAT_TRANSLATE = IS_BEFORE_6_2
  ? (["guard_translate"] as const)
  : (["guard_translate", "guard_translate_kfunc"] as const);

/** What bpf_redirect and the verdicts of <linux/pkt_cls.h> return. */
export const ACTION = { ok: 0, shot: 2, redirect: 7 } as const;

const LEASE_BYTES = 288;
const SETTINGS_BYTES = 32;
const COUNTER_BYTES = 8;
const COUNTERS = 16;

export interface LeaseFields {
  mac: string;
  ip: string;
  /** Default 0x10. */
  classMinor?: number;
  blocked?: boolean;
  /** Default 1. */
  version?: number;
  /** What the guest believes to be. */
  guest?: IdentityFields;
}

export interface IdentityFields {
  ip: string;
  mac: string;
  gateway: string;
  gatewayMac: string;
}

export interface NetworkFields {
  subnet: string;
  mask: string;
  gateway: string;
  shaperIfindex: number;
  /** Default true. */
  isolated?: boolean;
  /** The guard's filter redirects, not the program. Default false. */
  mirrored?: boolean;
  /** What a guard that uses helpers does with every pending checksum. Default: it judges them. */
  pending?: "drop" | "accept";
  gatewayMac?: string;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function leaseBytes(fields: LeaseFields): Buffer {
  const value = Buffer.alloc(LEASE_BYTES);
  value.writeUInt32LE(fields.version ?? 2, 0);
  value.writeUInt32LE((fields.blocked ? 1 : 0) + (fields.guest ? 2 : 0), 4);
  macBytes(fields.mac).copy(value, 8);
  value.writeUInt16LE(fields.classMinor ?? 0x10, 14);
  ipBytes(fields.ip).copy(value, 16);
  if (fields.guest) {
    const { ip, gateway, mac, gatewayMac } = fields.guest;
    const parts = [ipBytes(ip), ipBytes(gateway), macBytes(mac), macBytes(gatewayMac)];
    Buffer.concat(parts).copy(value, 256);
  }
  return value;
}

export function settingsBytes(fields: NetworkFields): Buffer {
  const value = Buffer.alloc(SETTINGS_BYTES);
  ipBytes(fields.subnet).copy(value, 0);
  ipBytes(fields.mask).copy(value, 4);
  ipBytes(fields.gateway).copy(value, 8);
  value.writeUInt32LE(fields.shaperIfindex, 12);
  const pending = fields.pending === undefined ? 0 : fields.pending === "drop" ? 4 : 8;
  const flags = (fields.isolated === false ? 0 : 1) + (fields.mirrored ? 2 : 0) + pending;
  value.writeUInt32LE(flags, 16);
  if (fields.gatewayMac) macBytes(fields.gatewayMac).copy(value, 20);
  return value;
}

/**
 * The maps and the loaded programs. Close it: the kernel keeps them as long as a descriptor is
 * open.
 */
export class BpfPrograms {
  readonly #addon: Addon = loadAddon();
  readonly bpf = this.#addon.bpf;
  readonly maps: { leases: number; settings: number; drops: number };
  /** -1 for what the kernel does not take. */
  readonly programs: Record<ProgramName, number>;

  constructor() {
    const { bpf } = this;
    const array = { keySize: 4, maxEntries: 1 };
    const hash = { keySize: 4, valueSize: LEASE_BYTES, maxEntries: 65_536, noPrealloc: true };
    this.maps = {
      leases: bpf.createMap({ name: "leases", type: "hash", ...hash }).fd,
      settings: bpf.createMap({
        name: "settings",
        type: "array",
        ...array,
        valueSize: SETTINGS_BYTES,
      }).fd,
      drops: bpf.createMap({
        name: "drops",
        type: "percpu_array",
        keySize: 4,
        valueSize: COUNTER_BYTES,
        maxEntries: COUNTERS,
      }).fd,
    };
    const load = (program: ProgramName) => bpf.loadProgram(program, this.maps).fd;
    this.programs = {
      guard: load("guard"),
      guard_kfunc: IS_BEFORE_6_2 ? -1 : load("guard_kfunc"),
      guard_translate: load("guard_translate"),
      guard_translate_kfunc: IS_BEFORE_6_2 ? -1 : load("guard_translate_kfunc"),
      gate: load("gate"),
      gate_translate: load("gate_translate"),
      classify: load("classify"),
    };
  }

  arm(ifindex: number, lease: LeaseFields): void {
    this.bpf.mapSet(this.maps.leases, u32(ifindex), leaseBytes(lease));
  }

  disarm(ifindex: number): void {
    this.bpf.mapDelete(this.maps.leases, u32(ifindex));
  }

  setNetwork(fields: NetworkFields): void {
    this.bpf.mapSet(this.maps.settings, u32(0), settingsBytes(fields));
  }

  /** Back to what the kernel makes of a new array. */
  clearNetwork(): void {
    this.bpf.mapSet(this.maps.settings, u32(0), Buffer.alloc(SETTINGS_BYTES));
  }

  /** One counter, CPU by CPU. */
  dropsByCpu(index: number): bigint[] {
    const cpus = this.bpf.possibleCpus();
    const values =
      this.bpf.mapGet(this.maps.drops, u32(index), cpus * COUNTER_BYTES) ?? Buffer.alloc(0);
    return Array.from({ length: cpus }, (_, cpu) => values.readBigUInt64LE(cpu * COUNTER_BYTES));
  }

  /** Every counter that is not 0, summed over the CPUs; a number where no reason is known. */
  drops(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (let index = 0; index < COUNTERS; index++) {
      const count = this.dropsByCpu(index).reduce((sum, value) => sum + Number(value), 0);
      if (count > 0) counts[DROP_REASONS[index] ?? index] = count;
    }
    return counts;
  }

  resetDrops(): void {
    const zeros = Buffer.alloc(this.bpf.possibleCpus() * COUNTER_BYTES);
    for (let index = 0; index < COUNTERS; index++)
      this.bpf.mapSet(this.maps.drops, u32(index), zeros);
  }

  close(): void {
    for (const fd of [...Object.values(this.programs), ...Object.values(this.maps)])
      if (fd >= 0) this.#addon.closeFd(fd);
  }
}
