// A network's state without its agent: from links, queues and classes, the lease map where it may be
// read, and the standby leases on disk. Read-only.

import { join } from "node:path";
import { toBitsPerSecond, toBytesPerSecond, UNLIMITED } from "../bandwidth.js";
import { monotonicMs } from "../clock.js";
import type { GuestStatus, GuestTraffic, NetworkStatus } from "../control/status.js";
import { ForknetError } from "../errors.js";
import { classHandle } from "../facts.js";
import type { ShapingState } from "../guests/guest.js";
import { CAPACITY_MINOR, formatClass } from "../identity/class-pool.js";
import { formatInner } from "../identity/guest-identity.js";
import { formatIpv4, formatMac, type Subnet } from "../identity/ipv4.js";
import type { ClassInfo, LinkInfo, QdiscInfo } from "../kernel/binding.js";
import { type Kernel, Refused } from "../kernel/kernel.js";
import { addressInAlias, parseAlias } from "../lease/alias.js";
import { readDrops } from "../lease/drops.js";
import { decodeLease, LEASE_BYTES, type Lease } from "../lease/lease.js";
import { decodeStore } from "../lease/standby-record.js";
import { STANDBY_FILE } from "../lease/standby-store.js";
import { tapMtu } from "../limits.js";
import { count, NUMBERS_PER_GUEST } from "../plans/count.js";
import { type KernelNetwork, subnetOf } from "../plans/kernel-networks.js";
import { findMaps } from "../plans/maps.js";
import { findOwnTaps } from "../plans/ownership.js";
import { ofGuest } from "../statistics.js";
import type { AgentPlace } from "./agent-place.js";

/** Everything that is read at once. */
export interface KernelLook {
  taps: LinkInfo[];
  /** Those that guests have. */
  held: HeldTap[];
  /** By ifindex; undefined where they may not be read. */
  leases: ReadonlyMap<number, Lease> | undefined;
  drops: NetworkStatus["drops"];
  classes: ReadonlyMap<number, ClassInfo>;
  tbfs: ReadonlyMap<number, NonNullable<QdiscInfo["tbf"]>>;
}

/** What cannot be read is a note. */
export function look(kernel: Kernel, network: KernelNetwork, notes: string[]): KernelLook {
  const { shaper, bridgeLink } = network;
  const subnet = subnetOf(kernel, network);
  const { leases, drops } = readMaps(kernel, subnet, shaper?.ifindex, notes);
  const taps = findOwnTaps(kernel, bridgeLink?.ifindex, subnet, leases);
  const classes = shaper ? kernel.classes(shaper.ifindex) : [];
  const qdiscs = kernel.qdiscs();
  return {
    taps,
    held: withLease(taps, leases),
    leases,
    drops,
    classes: new Map(classes.map((one) => [one.handle, one])),
    tbfs: new Map(qdiscs.flatMap(({ ifindex, tbf }) => (tbf ? [[ifindex, tbf]] : []))),
  };
}

export function kernelStatus(
  kernel: Kernel,
  network: KernelNetwork,
  place: AgentPlace,
): NetworkStatus {
  const subnet = subnetOf(kernel, network);
  const notes: string[] = [];
  const found = look(kernel, network, notes);
  const { held, leases, drops } = found;
  const traffic = readTraffic(kernel, network, held);
  const live = held.map(({ tap, lease }, i) => ({
    ...liveGuest(tap, lease, found),
    traffic: traffic[i] ?? null,
  }));
  const isSlot = (tap: LinkInfo) => tap.master !== 0 && !parseAlias(tap.alias);
  const ready = found.taps.filter((tap) => isSlot(tap) && !leases?.has(tap.ifindex));
  const standby = readStandby(place, notes);
  if (!network.shaper) notes.push("the shaper is gone: nothing passes from guests");
  if (!network.bridgeLink) notes.push("the bridge is gone");
  const capacity = found.classes.get(classHandle(CAPACITY_MINOR));
  return {
    bridge: network.bridge,
    shaper: network.shaper?.name ?? "",
    subnet: `${formatIpv4(subnet.network)}/${subnet.prefixLength}`,
    gateway: formatIpv4(subnet.gateway),
    isolated: found.taps.every(({ port }) => port?.isolated !== false),
    mtu: network.bridgeLink ? tapMtu(network.bridgeLink.mtu) : null,
    uploadCapacity: capacity ? toBitsPerSecond(capacity.rate) : 0,
    stateDir: place.stateDir,
    source: "kernel",
    holder: null,
    pool: {
      ready: ready.filter(({ alias }) => addressInAlias(alias)).length,
      size: null,
      making: null,
    },
    lanes: null,
    drops,
    guests: [
      ...live,
      ...standby.filter(({ instanceId }) => !live.some((one) => one.instanceId === instanceId)),
    ],
    readMs: monotonicMs(),
    notes,
  };
}

/** A guest's TAP and what it holds. */
export interface HeldTap {
  tap: LinkInfo;
  lease: Lease;
}

/** The map is the truth; the alias stands in where the map may not be read. */
function withLease(taps: readonly LinkInfo[], leases: KernelLook["leases"]): HeldTap[] {
  return taps.flatMap((tap) => {
    const lease = leases ? leases.get(tap.ifindex) : parseAlias(tap.alias);
    return lease ? [{ tap, lease }] : [];
  });
}

function liveGuest(
  { name: tap, ifindex }: LinkInfo,
  lease: Lease,
  found: KernelLook,
): Omit<GuestStatus, "traffic"> {
  return {
    ...identity(lease),
    tap,
    ifindex,
    classId: formatClass(lease.classMinor),
    state: "active",
    shaping: shapingOf(ifindex, lease, found),
  };
}

/** Whether the kernel enforces what the lease says; an unlimited guest's guarantee is the agent's. */
function shapingOf(ifindex: number, lease: Lease, { classes, tbfs }: KernelLook): ShapingState {
  const { download, upload } = lease.limits;
  const own = classes.get(classHandle(lease.classMinor));
  const isDown = tbfs.get(ifindex)?.rate === toBytesPerSecond(download ?? UNLIMITED);
  const isUp = upload
    ? own?.rate === toBytesPerSecond(upload.rate) && own.ceil === toBytesPerSecond(upload.ceil)
    : (own?.ceil ?? 0) >= toBytesPerSecond(UNLIMITED);
  return isDown && isUp && !lease.blocked ? "shaped" : "pending";
}

function identity({ instanceId, instanceName, limits, createdMs, ...lease }: Lease) {
  const [ip, mac] = [formatIpv4(lease.ip), formatMac(lease.mac)];
  const guest = lease.guest ? formatInner(lease.guest) : null;
  const { group = null, owner = null } = lease;
  return { instanceId, instanceName, ip, mac, limits, createdMs, group, guest, owner };
}

/** For each guest in turn. */
function readTraffic(
  kernel: Kernel,
  { shaper }: KernelNetwork,
  held: readonly HeldTap[],
): (GuestTraffic | undefined)[] {
  const guests = held.map(({ tap, lease }) => ({
    ifindex: tap.ifindex,
    classMinor: lease.classMinor,
  }));
  const facts = { shaper: { name: shaper?.name ?? "", ifindex: shaper?.ifindex ?? 0 } };
  const { numbers } = count(kernel, { facts, guests });
  return held.map(({ lease }, i) => {
    const [counted] = ofGuest(lease.instanceId, numbers, i * NUMBERS_PER_GUEST);
    if (!counted) return undefined;
    const { instanceId: _, ...traffic } = counted;
    return traffic;
  });
}

/** Without CAP_SYS_ADMIN the aliases have to do. */
function readMaps(
  kernel: Kernel,
  subnet: Subnet,
  shaperIfindex: number | undefined,
  notes: string[],
): Pick<KernelLook, "leases" | "drops"> {
  let maps: ReturnType<typeof findMaps>;
  try {
    maps = findMaps(kernel, subnet.gateway, shaperIfindex);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
  if (!maps) {
    notes.push(
      "the lease map cannot be read: guests are told by their aliases, drops are not known",
    );
    return { leases: undefined, drops: null };
  }
  const leases = new Map<number, Lease>();
  for (const { key, value } of kernel.bpf.mapEntries(maps.leases, 4, LEASE_BYTES)) {
    const lease = decodeLease(value);
    if (lease) leases.set(key.readUInt32LE(0), lease);
  }
  const drops = readDrops(maps.drops);
  for (const fd of Object.values(maps)) kernel.closeFd(fd);
  return { leases, drops };
}

function readStandby(
  { stateDir, directory, obstacle }: AgentPlace,
  notes: string[],
): GuestStatus[] {
  const path = join(stateDir, STANDBY_FILE);
  try {
    if (!directory && obstacle) throw obstacle;
    const reading = directory?.read(STANDBY_FILE);
    if (!reading) return [];
    const { content, fault } = reading;
    const { leases, damage } = decodeStore(content, path);
    if (fault || damage) notes.push(`${path}: ${fault || damage}`);
    const none = { tap: "", ifindex: 0, classId: "", traffic: null } as const;
    return [...leases.values()].map((lease) => ({
      ...identity(lease),
      ...none,
      state: "standby",
      shaping: "none",
    }));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return [];
    const why = error instanceof ForknetError ? message : (code ?? message);
    notes.push(`guests in standby are not known: ${why}`);
    return [];
  }
}
