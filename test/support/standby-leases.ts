// Standby leases and the directories they are stored in, for tests of the store by itself.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Lease } from "../../src/lease/lease.js";
import { StandbyStore } from "../../src/lease/standby-store.js";
import type { StoreDamage } from "../../src/state/aside.js";
import { StateDir } from "../../src/state/state-dir.js";

export const STORE_FILE = "standby.leases";

/** Removed when the test has finished. */
export function stateDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), "forknet-store-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Lease number `i`, as it comes back from a store. */
export function standbyLease(i: number): Lease {
  const owner = i % 8 === 1 ? { owner: { uid: 70_000 + i } } : {};
  const upload = i % 3 === 0 ? null : { rate: 20e6 + i, ceil: 80e6 };
  return {
    instanceId: `vm-${i}`,
    instanceName: `name-${i}`,
    ip: 0x0a640000 + 2 + i,
    mac: 0x02_00_0a_64_00_00 + 2 + i,
    classMinor: 0,
    ...owner,
    limits: { download: i % 2 === 0 ? null : 100e6, upload },
    createdMs: 1_750_000_000_000 + i,
    generation: i,
    blocked: false,
  };
}

export function standbyLeases(count: number): Lease[] {
  return Array.from({ length: count }, (_, i) => standbyLease(i));
}

/** Opens a store, which is closed when the test has finished, and notes what was wrong with it. */
export async function openStore(
  stateDir: string,
): Promise<{ store: StandbyStore; damage: StoreDamage[] }> {
  const damage: StoreDamage[] = [];
  const state = StateDir.open(stateDir, { onDamage: (found) => damage.push(found) });
  const store = await StandbyStore.open(state);
  onTestFinished(async () => {
    await store.close();
    await state.close();
  });
  return { store, damage };
}

/** What one process stored and closed. */
export async function storeOnce(stateDir: string, leases: readonly Lease[]): Promise<void> {
  const { store } = await openStore(stateDir);
  await Promise.all(leases.map((lease) => store.put(lease)));
  await store.close();
}

/** Names and contents of the files in a directory. */
export function filesIn(stateDir: string): Record<string, string> {
  const names = readdirSync(stateDir).sort();
  return Object.fromEntries(
    names.map((name) => [name, readFileSync(join(stateDir, name), "latin1")]),
  );
}
