// A network whose standby leases on disk are damaged, of another version, or at odds with each
// other: it opens as far as that is safe, says so, and its live guests notice nothing.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Network, NetworkOptions } from "../../dist/index.js";
import type { Lease } from "../../src/lease/lease.js";
import { published } from "../support/events.js";
import { brokenInvariants } from "../support/invariants.js";
import { compareKernelStates } from "../support/kernel-state.js";
import { ipNumber, macNumber, readNetworkLines } from "../support/kernel-view.js";
import { BRIDGE, expectNotOpened, openForTest, testOptions } from "../support/network.js";
import {
  filesIn,
  openStore,
  STORE_FILE,
  standbyLease,
  storeOnce,
} from "../support/standby-leases.js";

type Options = NetworkOptions & { stateDir: string };

const LIMITS = new Map([["live", { download: 20e6, upload: { rate: 5e6, ceil: 20e6 } }]]);

const statesOf = (network: Network) =>
  network.listAllocations().map(({ instanceId, state }) => [instanceId, state]);

/** A network that was closed with one live guest and two in standby. */
async function closedNetwork(): Promise<Options> {
  const options = testOptions() as Options;
  const network = await openForTest(options);
  await network.createAllocation({
    instanceId: "live",
    instanceName: "live",
    download: "20mbit",
    upload: "5mbit",
  });
  for (const instanceId of ["a", "b"]) {
    await network.createAllocation({ instanceId, instanceName: `name-${instanceId}` });
    await network.standbyAllocation(instanceId);
  }
  await network.close();
  return options;
}

/** Opens with what is in the store; the kernel is as it was, and the live guest untouched. */
async function reopen(options: Options): Promise<Network> {
  const before = readNetworkLines();
  const network = await openForTest(options);
  expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
  expect(brokenInvariants(network, LIMITS)).toEqual([]);
  return network;
}

describe("a damaged store", () => {
  const damages: [string, (path: string, content: Buffer) => void, number][] = [
    ["cut off", (path, content) => writeFileSync(path, content.subarray(0, -10)), 1],
    ["empty", (path) => writeFileSync(path, ""), 0],
    ["text", (path) => writeFileSync(path, "hello\n"), 0],
    ["zeros", (path, content) => writeFileSync(path, content.fill(0)), 0],
    [
      "a directory",
      (path) => {
        rmSync(path);
        mkdirSync(path);
      },
      0,
    ],
  ];
  it.each(damages)("that is %s is moved aside and told of", async (_, damage, kept) => {
    const options = await closedNetwork();
    const path = join(options.stateDir, STORE_FILE);
    damage(path, readFileSync(path));
    const told = published("forknet:store-damaged");
    const network = await reopen(options);
    expect(network.storeDamage).toMatchObject([
      { kept, reason: expect.stringContaining(path) as string },
    ]);
    expect(told).toEqual([{ bridge: BRIDGE, ...network.storeDamage[0] }]);
    expect(network.listAllocations().length).toBe(1 + kept);
    // The store is in use again.
    await network.standbyAllocation("live");
    await network.close();
    const next = await openForTest(options);
    expect([next.getAllocation("live")?.state, next.storeDamage]).toEqual(["standby", []]);
  });

  it("that is a newer forknet's is refused, and nothing is changed", async () => {
    const options = await closedNetwork();
    const path = join(options.stateDir, STORE_FILE);
    const content = readFileSync(path);
    writeFileSync(path, 'aa465753 {"forknet":"standby","version":3}\n');
    const before = filesIn(options.stateDir);
    await expectNotOpened(options, "CONFLICT", {
      message: expect.stringContaining("newer forknet (format 3") as string,
    });
    expect(filesIn(options.stateDir)).toEqual(before);
    writeFileSync(path, content);
    expect((await reopen(options)).listAllocations().length).toBe(3);
  });
});

describe("a record", () => {
  /** Adds leases to the store of a closed network. */
  async function storeAlso(options: Options, ...leases: Lease[]): Promise<void> {
    await storeOnce(options.stateDir, leases);
  }

  it("of a guest that is live counts for nothing, and goes", async () => {
    const options = await closedNetwork();
    await storeAlso(options, { ...standbyLease(1), instanceId: "live", instanceName: "live" });
    const network = await reopen(options);
    expect(statesOf(network)).toContainEqual(["live", "active"]);
    expect(network.storeDamage).toEqual([]);
    await network.close();
    const { store } = await openStore(options.stateDir);
    expect(store.has("live")).toBe(false);
  });

  const rivals: [string, (live: { ip: number; mac: number }) => Partial<Lease>][] = [
    ["the address", ({ ip }) => ({ ip })],
    ["the MAC", ({ mac }) => ({ mac })],
    ["the name", () => ({ instanceName: "live" })],
  ];
  it.each(rivals)("with %s of a live guest is moved aside and told of", async (_, rival) => {
    const options = await closedNetwork();
    const first = await openForTest(options);
    const { ip, mac } = first.getAllocation("live") as { ip: string; mac: string };
    await first.close();
    const lease = { ...standbyLease(77), ...rival({ ip: ipNumber(ip), mac: macNumber(mac) }) };
    await storeAlso(options, lease);
    const network = await reopen(options);
    const [damage] = network.storeDamage;
    expect(damage).toMatchObject({ kept: 2, reason: expect.stringContaining("vm-77") as string });
    expect(readFileSync(damage?.movedTo as string, "latin1")).toContain('"vm-77"');
    expect(statesOf(network)).toEqual([
      ["live", "active"],
      ["b", "standby"],
      ["a", "standby"],
    ]);
    await network.close();
    expect((await openForTest(options)).storeDamage).toEqual([]);
  });

  it("with the address of another one goes on when it is the younger", async () => {
    const options = testOptions() as Options;
    const { ip } = standbyLease(1);
    await storeAlso(options, standbyLease(1), { ...standbyLease(2), ip }, standbyLease(3));
    const network = await openForTest(options);
    // The youngest first.
    expect(statesOf(network)).toEqual([
      ["vm-3", "standby"],
      ["vm-2", "standby"],
    ]);
    expect(network.storeDamage).toMatchObject([{ kept: 2 }]);
    expect((await network.recreateAllocation("vm-2")).state).toBe("active");
  });

  it.each([
    ["outside the subnet", "10.101.0.7"],
    ["that is the gateway's", "10.100.0.1"],
    ["that is the network's", "10.100.0.0"],
    ["that is the broadcast address", "10.100.255.255"],
  ])("with an address %s is refused", async (_, ip) => {
    const options = testOptions() as Options;
    await storeAlso(options, { ...standbyLease(1), ip: ipNumber(ip) });
    await expectNotOpened(options, "CONFLICT", {
      message: expect.stringContaining(ip) as string,
    });
  });
});
