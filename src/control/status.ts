// The state of a network as an operator sees it: the same shape from a running agent and, with what
// it cannot tell left out, from the kernel alone. Plain data; rates in bits per second.

import type { Allocation, AllocationState, Guest, ShapingState } from "../guests/guest.js";
import type { GuestIdentity } from "../identity/guest-identity.js";
import { formatIpv4 } from "../identity/ipv4.js";
import type { TapOwner } from "../identity/tap-owner.js";
import type { DropReason } from "../lease/drops.js";
import type { Limits } from "../limits.js";
import type { Parts } from "../parts.js";
import type { GuestStatistics, NetworkStatistics } from "../statistics.js";
import { VERSION } from "../version.js";

/** What passed a guest's queues, and what its programs dropped. */
export type GuestTraffic = Omit<GuestStatistics, "instanceId">;

export interface GuestStatus
  extends Pick<
    Allocation,
    "instanceId" | "instanceName" | "ip" | "mac" | "tap" | "ifindex" | "classId"
  > {
  state: AllocationState;
  shaping: ShapingState;
  /** null is unlimited. */
  limits: Limits;
  /** Milliseconds since the epoch. */
  createdMs: number;
  group: string | null;
  /** The identity in its memory, where that is translated. */
  guest: Required<GuestIdentity> | null;
  /** Who may open its TAP; null where the network's owner applies. */
  owner: TapOwner | null;
  /** Since the TAP was made; null without a TAP. */
  traffic: GuestTraffic | null;
}

export interface NetworkStatus {
  bridge: string;
  shaper: string;
  /** "10.100.0.0/16" */
  subnet: string;
  gateway: string;
  isolated: boolean;
  /** Of the TAPs; null when the bridge is gone. */
  mtu: number | null;
  uploadCapacity: number;
  stateDir: string;
  /** Who answers: the process that holds the network, or the kernel because none did. */
  source: "agent" | "kernel";
  holder: { pid: number; version: string | null } | null;
  /** Warm slots; `size` and `making` are the agent's to know. */
  pool: { ready: number; size: number | null; making: number | null };
  /** Jobs that wait or run in each lane; null without an agent. */
  lanes: { create: number; shape: number; reap: number } | null;
  /** Frames dropped by the programs, by reason; null where they may not be read. */
  drops: Record<DropReason, number> | null;
  guests: GuestStatus[];
  /** On a clock that only counts on: for rates between two looks. */
  readMs: number;
  /** What is missing here, and why. */
  notes: string[];
}

/** As the agent knows it, with what it counted just now. */
export function agentStatus(parts: Parts, counted: NetworkStatistics): NetworkStatus {
  const { options, facts, registry, pool, lanes } = parts;
  const traffic = new Map(counted.guests.map(({ instanceId, ...rest }) => [instanceId, rest]));
  const { subnet } = options;
  return {
    bridge: facts.bridge.name,
    shaper: facts.shaper.name,
    subnet: `${formatIpv4(subnet.network)}/${subnet.prefixLength}`,
    gateway: formatIpv4(subnet.gateway),
    isolated: options.isolated,
    mtu: options.mtu,
    uploadCapacity: options.uploadCapacity,
    stateDir: options.stateDir,
    source: "agent",
    holder: { pid: process.pid, version: VERSION },
    pool: { size: options.poolSize, ...pool.counts },
    lanes: { create: lanes.create.depth, shape: lanes.shape.depth, reap: lanes.reap.depth },
    drops: counted.guardDrops,
    guests: registry.all().map((guest) => ({
      ...guestStatus(guest),
      traffic: traffic.get(guest.id) ?? null,
    })),
    readMs: counted.readMs,
    notes: [],
  };
}

function guestStatus({ view, lease }: Guest): Omit<GuestStatus, "traffic"> {
  const { instanceId, instanceName, ip, mac, tap, ifindex, classId, state, shaping } = view;
  const identity = { instanceId, instanceName, ip, mac, tap, ifindex, classId };
  const { limits, createdMs, group = null, owner = null } = lease;
  const { guest = null } = view;
  return { ...identity, state, shaping, limits, createdMs, group, guest, owner };
}
