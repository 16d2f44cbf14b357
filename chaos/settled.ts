// The check of a network that has settled: its allocations against the journal, and the kernel and the standby store
// against its allocations.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { NetworkOptions } from "../dist/index.js";
import type { Lease } from "../dist/lease/lease.js";
import { decodeStore } from "../dist/lease/standby-record.js";
import { ipText } from "../test/support/kernel-state.js";
import { differences, innerProblems, type Names } from "./expectation.js";
import type { GuestLimits, PlainAllocation } from "./life.js";
import type { Found, Model } from "./model.js";

/** Guests, slots and what one burst may have in the making. */
const MOST_CLASSES = 64;

export function checkSettled(
  options: NetworkOptions & { stateDir: string },
  names: Names,
  model: Model,
  allocations: readonly PlainAllocation[],
): { problems: string[]; guests: Found[] } {
  const { problems, inventory } = differences(options, names, {
    allocations,
    mostClasses: MOST_CLASSES,
  });
  const { leases, damage } = readStore(options.stateDir);
  const stored = new Map(leases);
  if (damage !== "") problems.push(`the standby store is damaged: ${damage}`);
  const guests: Found[] = [];
  for (const allocation of allocations) {
    const { instanceId, state, ifindex } = allocation;
    const lease = state === "standby" ? stored.get(instanceId) : inventory.leases.get(ifindex);
    if (lease) guests.push({ allocation, limits: lease.limits as GuestLimits });
    else problems.push(`${instanceId} is ${state} without a lease`);
    if (state === "standby") problems.push(...recordProblems(allocation, lease));
    else if (stored.delete(instanceId)) problems.push(`${instanceId} is ${state} and in the store`);
    stored.delete(instanceId);
  }
  for (const id of stored.keys()) problems.push(`the store keeps ${id}, whom nobody knows`);
  return { problems: [...problems, ...model.compare(guests)], guests };
}

function recordProblems(allocation: PlainAllocation, lease: Lease | undefined): string[] {
  if (!lease) return [];
  const kept = ipText(lease.ip);
  const { instanceId, ip } = allocation;
  const wrong = kept === ip ? [] : [`${instanceId}: the store keeps ${kept}, not ${ip}`];
  return [...wrong, ...innerProblems(allocation, lease)];
}

/** As the last write left it: the driver is idle. */
function readStore(stateDir: string): { leases: ReadonlyMap<string, Lease>; damage: string } {
  const path = join(stateDir, "standby.leases");
  if (!existsSync(path)) return { leases: new Map(), damage: "" };
  return decodeStore(readFileSync(path), path);
}
