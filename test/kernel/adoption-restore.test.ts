// A process that died in the middle of a standby or of a restore: the next one restores the guest at once, though the TAP
// of before is still going, and nothing of a half-made identity stays.

import { expect, it } from "vitest";
import { Life } from "../../chaos/life.js";
import type { NetworkOptions } from "../../dist/index.js";
import { fdbOf, ipNumber, macNumber, neighborsOf } from "../support/kernel-view.js";
import { BRIDGE, openForTest, testOptions } from "../support/network.js";

const GUEST = "bare-aimed";

/** A driver that has died after so many kernel operations of the plan. */
async function died(options: NetworkOptions, scenario: string, after: number): Promise<void> {
  const life = new Life({ options, seed: 0, scenario, after }, () => {});
  await life.until("settled");
  life.tell({ go: true });
  await life.over();
  expect(life.end).toBe("SIGKILL");
}

// Disarmed; marked for deletion; without its neighbour entry. The TAP is there each time.
it.each([2, 3, 4])("a standby that died after %i operations: restored at once", async (after) => {
  const options = testOptions();
  await died(options, "standby", after);
  const network = await openForTest(options);
  const { ip, mac, tap } = await network.recreateAllocation(GUEST);
  await network.reconcile();
  expect(neighborsOf(BRIDGE).map((entry) => [entry.ip, entry.mac])).toEqual([
    [ipNumber(ip), macNumber(mac)],
  ]);
  expect(fdbOf(BRIDGE, tap).map((entry) => entry.mac)).toContain(macNumber(mac));
});

// In the middle of the change from the slot's own address to the guest's.
it.each([1, 2, 3, 4])("a restore that died after %i operations: nothing stays", async (after) => {
  const options = testOptions({ pool: { size: 3 } });
  await died(options, "recreate, from a warm slot", after);
  const network = await openForTest({ ...options, pool: { size: 0 } });
  expect(network.getAllocation(GUEST)).toMatchObject({ state: "standby" });
  await expect.poll(() => neighborsOf(BRIDGE)).toEqual([]);
});
