// Every kernel operation of closing a network with warm slots is refused once: closing succeeds all
// the same, and what stays is cleared away by the next open.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { openWith } from "../../dist/open.js";
import { ERRNO, Faults } from "../support/faults.js";
import { brokenInvariants } from "../support/invariants.js";
import { compareKernelStates } from "../support/kernel-state.js";
import { readEverything } from "../support/network-state.js";
import { patiently } from "../support/patience.js";

const MOST_OPERATIONS = 20;
const POOL = 2;
const SETTLE_MS = patiently(5000);

const faults = new Faults();
const stateDir = mkdtempSync(join(tmpdir(), "forknet-faults-"));

const open = (size: number) =>
  openWith(
    { bridge: "vmbr0", subnet: "10.100.0.0/24", stateDir, pool: { size } },
    { kernelModule: faults.module },
  );

afterEach(() => {
  faults.none();
  rmSync(stateDir, { recursive: true });
});

function slots(): number {
  const isSlot = (line: string) => line.startsWith("link ") && line.includes('"forknet1 /slot ');
  return readEverything().filter(isSlot).length;
}

test("close succeeds whatever is refused, and the next open clears away what stayed", async () => {
  const before = readEverything();
  for (let at = 1; ; at++) {
    expect(at).toBeLessThan(MOST_OPERATIONS);
    const closing = await open(POOL);
    await closing.createAllocation({ instanceId: "a", instanceName: "alpha" });
    await expect.poll(slots, { timeout: SETTLE_MS }).toBe(POOL);
    faults.refuse({ errno: ERRNO.EPERM, at });
    await closing.close();
    const { failed, journal } = faults;
    faults.none();
    const operation = `operation ${at} (${journal[at - 1]})`;
    const network = await open(0);
    await network.getAllocation("a")?.shaped;
    await expect
      .poll(() => brokenInvariants(network), { timeout: SETTLE_MS, message: operation })
      .toEqual([]);
    expect(network.getAllocation("a")?.state, operation).toBe("active");
    await network.destroy();
    expect(compareKernelStates(before, readEverything()), operation).toEqual([]);
    if (failed === 0) break;
  }
});
