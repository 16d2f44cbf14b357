// What the kernel has to hold for a settled network, predicted from its allocations, the leases and the options; and what
// differs from it.

import { isDeepStrictEqual } from "node:util";
import { formatInner } from "../dist/identity/guest-identity.js";
import type { NetworkOptions } from "../dist/index.js";
import { formatAlias, formatSlotAlias } from "../dist/lease/alias.js";
import type { Lease } from "../dist/lease/lease.js";
import { baseLimits, type KernelLimits, toKernelLimits } from "../dist/limits.js";
import { resolveOptions, type SettledOptions } from "../dist/options.js";
import { loadAddon } from "../src/kernel/addon.js";
import type { LinkInfo } from "../src/kernel/binding.js";
import { duplicates } from "../test/support/invariants.js";
import { compareKernelStates, ipText } from "../test/support/kernel-state.js";
import { ipNumber, macNumber } from "../test/support/kernel-view.js";
import { type Inventory, leaseMapsInUse, readInventory } from "./inventory.js";
import type { PlainAllocation } from "./life.js";

const CAPACITY_MINOR = 1;
const DEFAULT_MINOR = 2;
/** The lower half of it, as a class's parent. */
const TC_H_ROOT = 0xffff;
const SLOT = /^forknet1 \/slot ([\d.]+) ([\da-f:]+) 1:([\da-f]+)$/;

export interface Expected {
  allocations: readonly PlainAllocation[];
  /** Classes that may stay behind on the free list. */
  mostClasses: number;
}

export interface Names {
  bridge: string;
  shaper: string;
}

/** Reads the kernel and tells every difference; empty when it holds exactly what it should. */
export function differences(
  options: NetworkOptions,
  names: Names,
  { allocations, mostClasses }: Expected,
): { problems: string[]; inventory: Inventory } {
  const netlink = new (loadAddon().Netlink)();
  try {
    const inventory = readInventory(netlink, names.bridge, names.shaper);
    const { taps, leases, minors } = inventory;
    const resolved = { ...resolveOptions(options), mtu: 1500, isMtuAsked: false };
    const active = allocations.filter(({ state }) => state === "active");
    const slots = [...taps.values()].filter(({ alias }) => SLOT.test(alias));
    const own = new Set([...leases.values()].map(({ classMinor }) => classMinor));
    for (const { alias } of slots) own.add(Number.parseInt(SLOT.exec(alias)?.[3] ?? "0", 16));
    const isFree = (line: string) => {
      const minor = Number(/^class (\d+) /.exec(line)?.[1] ?? 0);
      return minor > DEFAULT_MINOR && !own.has(minor);
    };
    const expected = [
      ...ownLines(resolved, names),
      ...active.flatMap((one) => guestLines(resolved, one, leases.get(one.ifindex))),
      ...slots.flatMap((slot) => slotLines(resolved, slot)),
    ];
    const shaper = netlink.link({ name: names.shaper })?.ifindex ?? 0;
    const maps = leaseMapsInUse(netlink, taps.keys(), shaper);
    return {
      inventory,
      problems: [
        ...compareKernelStates(
          expected,
          inventory.lines.filter((line) => !isFree(line)),
        ),
        ...duplicates(allocations),
        ...active.flatMap((one) => leaseProblems(one, leases.get(one.ifindex))),
        ...(slots.length === resolved.poolSize
          ? []
          : [`${slots.length} warm slots, not ${resolved.poolSize}`]),
        ...(maps.length > 1 ? [`${maps.length} lease maps are in use`] : []),
        ...(minors.length > mostClasses
          ? [`${minors.length} classes, more than ${mostClasses}`]
          : []),
      ],
    };
  } finally {
    netlink.close();
  }
}

/** What is there without any guest. */
function ownLines({ uploadCapacity, subnet }: SettledOptions, { bridge, shaper }: Names): string[] {
  const capacity = Math.floor(uploadCapacity / 8);
  const classLine = (minor: number, rate: number, queue: string) => {
    return `class ${minor} under ${TC_H_ROOT} ${rate} ceil ${rate} queue ${queue}`;
  };
  return [
    `link lo  up group 0 mtu 65536 [] ""`,
    `link ${bridge} bridge up group 0 mtu 1500 [] "forknet1 /bridge ${ipText(subnet.network)}/${subnet.prefixLength}"`,
    `link ${shaper} ifb up group 0 mtu 1500 [] "forknet1 /shaper ${bridge}"`,
    `forknet-classify on ${shaper}`,
    `htb on ${shaper} default ${DEFAULT_MINOR} direct 0`,
    classLine(CAPACITY_MINOR, capacity, "undefined "),
    classLine(DEFAULT_MINOR, 125, "blackhole "),
  ];
}

function guestLines(options: SettledOptions, guest: PlainAllocation, lease?: Lease): string[] {
  if (!lease) return [`lease of ${guest.instanceId} for ${guest.ifindex}`];
  return [
    `lease of ${guest.instanceId} for ${guest.ifindex}`,
    ...portLines(guest.tap, lease, formatAlias(lease), toKernelLimits(lease.limits, options)),
  ];
}

function slotLines(options: SettledOptions, { name, alias }: LinkInfo): string[] {
  const [, ip, mac, minor] = SLOT.exec(alias) as unknown as [string, string, string, string];
  const address = { ip: ipNumber(ip), mac: macNumber(mac), classMinor: Number.parseInt(minor, 16) };
  const limits = toKernelLimits(baseLimits(options.baseLimit), options);
  const { ip: number, mac: hardware, classMinor } = address;
  return portLines(name, address, formatSlotAlias(number, hardware, classMinor), limits);
}

function portLines(
  tap: string,
  { ip, mac, classMinor }: Pick<Lease, "ip" | "mac" | "classMinor">,
  alias: string,
  { tbf, htb }: KernelLimits,
): string[] {
  const rates = `${htb.rate}/${htb.burstBytes} ceil ${htb.ceil}/${htb.cburstBytes}`;
  return [
    `link ${tap} tun up group 0 mtu 1500 on the bridge [isolated] "${alias}"`,
    `tbf on ${tap} ${tbf.rate} ${tbf.burstBytes} ${tbf.limitBytes}`,
    `clsact on ${tap}`,
    `forknet-guard at ingress of ${tap}`,
    `forknet-gate at egress of ${tap}`,
    `class ${classMinor} under ${CAPACITY_MINOR} ${rates} queue tbf ${htb.leaf.rate} ${htb.leaf.limitBytes}`,
    `fdb ${mac} on ${tap}`,
    `neighbour ${ip} ${mac}`,
  ];
}

function leaseProblems(guest: PlainAllocation, lease: Lease | undefined): string[] {
  if (!lease) return [];
  const { instanceId, instanceName, ip, mac, classId } = guest;
  const pairs = [
    [instanceId, lease.instanceId],
    [instanceName, lease.instanceName],
    [ipNumber(ip), lease.ip],
    [macNumber(mac), lease.mac],
    [classId, `1:${lease.classMinor.toString(16)}`],
    [false, lease.blocked],
  ];
  return pairs
    .filter(([said, leased]) => said !== leased)
    .map(([said, leased]) => `${instanceId}: its lease says ${leased}, not ${said}`)
    .concat(innerProblems(guest, lease));
}

/** Whether the lease has the identity in the guest's memory that the allocation tells. */
export function innerProblems({ instanceId, guest }: PlainAllocation, lease: Lease): string[] {
  const leased = lease.guest && formatInner(lease.guest);
  if (isDeepStrictEqual(leased, guest)) return [];
  return [`${instanceId}: its lease is of ${leased?.ip}, not ${guest?.ip}, in its memory`];
}
