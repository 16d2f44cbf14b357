// Two hundred forks in one tick: nobody gets what another has, nobody is left unshaped, and all of
// it goes again.

import { expect, it } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import {
  compareKernelStates,
  type KernelState,
  readNetwork,
  readOpenFiles,
} from "../support/kernel-state.js";
import {
  classNamed,
  fdbOf,
  htbClasses,
  indexOf,
  ipNumber,
  linkNamed,
  macNumber,
  neighborsOf,
  readLeases,
  readNetworkLines,
  tbfOf,
  withNetlink,
} from "../support/kernel-view.js";
import { BRIDGE, openForTest, poolFilled, SHAPER, testOptions } from "../support/network.js";

const FORKS = 200;
const BYTES_PER_MBIT = 125_000;
/** Every guest has limits of its own, so that one guest's in another's place is seen. */
const downloadMbit = (i: number): number => 50 + i;
const uploadMbit = (i: number): number => 10 + i;

function forkAll(network: Network): Promise<Allocation[]> {
  const forks = Array.from({ length: FORKS }, (_, i) =>
    network.createAllocation({
      instanceId: `vm-${i}`,
      instanceName: `name-${i}`,
      download: `${downloadMbit(i)}mbit`,
      upload: `${uploadMbit(i)}mbit`,
    }),
  );
  expect(network.listAllocations().map(({ state }) => state)).toContain("pending");
  return Promise.all(forks);
}

/** Classes of dead guests and their queues stay for the next, by design, until destroy(). */
function withoutFreeClasses(state: KernelState): KernelState {
  return state.filter(
    (line) =>
      !line.startsWith(`class htb`) && !(line.startsWith("qdisc tbf") && line.endsWith(SHAPER)),
  );
}

function expectDistinct(allocations: readonly Allocation[]): void {
  for (const key of ["instanceName", "ip", "mac", "tap", "ifindex", "classId"] as const) {
    expect(new Set(allocations.map((allocation) => allocation[key])).size).toBe(FORKS);
  }
}

function expectWired(allocations: readonly Allocation[]): void {
  const bridge = indexOf(BRIDGE);
  for (const { tap, mac } of allocations) {
    expect(linkNamed(tap)).toMatchObject({
      master: bridge,
      up: true,
      port: { isolated: true, learning: false },
    });
    expect(fdbOf(BRIDGE, tap).map((entry) => entry.mac)).toContain(macNumber(mac));
  }
  const neighbors = new Map(neighborsOf(BRIDGE).map(({ ip, mac }) => [ip, mac]));
  for (const { ip, mac } of allocations) expect(neighbors.get(ipNumber(ip))).toBe(macNumber(mac));
}

async function expectShaped(allocations: readonly Allocation[]): Promise<void> {
  await Promise.all(allocations.map(({ shaped }) => shaped));
  const leases = readLeases(SHAPER);
  expect(leases.size).toBe(FORKS);
  allocations.forEach(({ tap, ifindex, instanceId, classId, shaping }, i) => {
    expect(shaping).toBe("shaped");
    expect(tbfOf(tap)?.rate).toBe(downloadMbit(i) * BYTES_PER_MBIT);
    expect(classNamed(SHAPER, classId)).toMatchObject({
      rate: uploadMbit(i) * BYTES_PER_MBIT,
      ceil: 4 * uploadMbit(i) * BYTES_PER_MBIT,
    });
    const classMinor = Number.parseInt(classId.slice(2), 16);
    expect(leases.get(ifindex)).toEqual({ instanceId, classMinor, blocked: false });
  });
}

it.each([0, 32])("forks and releases with a pool of %i", async (size) => {
  const start = readNetworkLines();
  const options = testOptions({ pool: { size } });
  const network = await openForTest(options);
  await poolFilled(network, size);
  // A pool's own slots come and go with the forks: the comparison is with a network that has none.
  const opened =
    size === 0 ? [...withoutFreeClasses(withNetlink(readNetwork)), ...readOpenFiles()] : undefined;
  const allocations = await forkAll(network);
  expect(network.listAllocations()).toHaveLength(FORKS);
  expectDistinct(allocations);
  expectWired(allocations);
  await expectShaped(allocations);

  await Promise.all(allocations.map(({ instanceId }) => network.releaseAllocation(instanceId)));
  expect(network.listAllocations()).toEqual([]);
  expect(readLeases(SHAPER)).toEqual(new Map());
  expect(neighborsOf(BRIDGE).length).toBeLessThanOrEqual(size);
  if (opened) {
    const left = [...withoutFreeClasses(withNetlink(readNetwork)), ...readOpenFiles()];
    expect(compareKernelStates(opened, left)).toEqual([]);
  }
  await network.destroy();
  expect(compareKernelStates(start, readNetworkLines())).toEqual([]);
});

it("hands released addresses, names and classes to a second burst", async () => {
  const network = await openForTest(testOptions({ subnet: "10.100.0.0/24" }));
  for (let round = 0; round < 3; round++) {
    const allocations = await forkAll(network);
    expectDistinct(allocations);
    await expectShaped(allocations);
    await Promise.all(allocations.map(({ instanceId }) => network.releaseAllocation(instanceId)));
  }
  // The second and third took the classes of the first.
  const classes = htbClasses(SHAPER);
  expect(classes).toHaveLength(FORKS + 2);
});

it("releases in the middle of a burst without touching a neighbour", async () => {
  const network = await openForTest();
  const forks = Array.from({ length: FORKS }, (_, i) =>
    network.createAllocation({
      instanceId: `vm-${i}`,
      instanceName: `name-${i}`,
      download: `${downloadMbit(i)}mbit`,
      upload: `${uploadMbit(i)}mbit`,
    }),
  );
  const outcomes = Promise.allSettled(forks);
  const releases = Array.from({ length: FORKS / 2 }, (_, i) =>
    network.releaseAllocation(`vm-${i * 2}`),
  );
  const settled = await outcomes;
  await Promise.all(releases);
  settled.forEach((outcome, i) => {
    if (i % 2 === 0)
      expect(outcome).toMatchObject({
        status: "rejected",
        reason: { code: "ERR_FORKNET_ABORTED" },
      });
    else expect(outcome.status).toBe("fulfilled");
  });
  const kept = network.listAllocations();
  expect(kept.map(({ instanceId }) => instanceId).sort()).toEqual(
    Array.from({ length: FORKS / 2 }, (_, i) => `vm-${i * 2 + 1}`).sort(),
  );
  expectWired(kept);
  expect(new Set(readLeases(SHAPER).keys())).toEqual(new Set(kept.map(({ ifindex }) => ifindex)));
  expect(neighborsOf(BRIDGE)).toHaveLength(kept.length);
  for (const { tap, classId, instanceId } of kept) {
    const i = Number(instanceId.slice(3));
    expect(tbfOf(tap)?.rate).toBe(downloadMbit(i) * BYTES_PER_MBIT);
    expect(classNamed(SHAPER, classId)?.rate).toBe(uploadMbit(i) * BYTES_PER_MBIT);
  }
  const taps = withNetlink((netlink) => netlink.links({ kind: "tun" }));
  expect(taps).toHaveLength(kept.length);
});
