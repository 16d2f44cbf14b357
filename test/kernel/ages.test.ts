// How old a guest is: the time since boot tells, whatever is done to the wall clock. Setting that of
// the machine is not for a test: what forknet reads is stepped, and what it wrote before is changed.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Network, NetworkOptions } from "../../dist/index.js";
import { decodeLine, encodeLine } from "../../src/lease/standby-record.js";
import { linkNamed, makeTap } from "../support/kernel-view.js";
import { LeaseMap } from "../support/lease-map.js";
import { BRIDGE, openForTest, SHAPER, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";
import { STORE_FILE } from "../support/standby-leases.js";

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const CREATED_MS_AT = 24;
const CREATED_BOOT_MS_AT = 56;
const SLOT_ALIAS = "forknet1 /slot 10.100.9.9 02:00:0a:64:09:09 1:99";

/** What NTP, an operator or a hypervisor does to a machine's clock. */
function stepClock(byMs: number): void {
  const real = Date.now.bind(Date);
  vi.spyOn(Date, "now").mockImplementation(() => real() + byMs);
}

afterEach(() => void vi.restoreAllMocks());

/** Who is left when nobody is to be kept who is older than this. */
async function left(network: Network, minAgeMs?: number): Promise<string[]> {
  await network.reconcile({ keep: [], ...(minAgeMs === undefined ? {} : { minAgeMs }) });
  return network.listAllocations().map(({ instanceId }) => instanceId);
}

describe("the wall clock steps", () => {
  it("forward: a new guest and a new leftover are as young as before", async () => {
    const network = await openForTest();
    await network.createAllocation(REQUEST);
    makeTap("stray", { alias: SLOT_ALIAS, master: BRIDGE });
    await network.reconcile({ minAgeMs: MINUTE_MS });
    stepClock(HOUR_MS);
    expect(await left(network, MINUTE_MS)).toEqual(["vm-1"]);
    expect(linkNamed("stray")).toBeDefined();
  });

  it("back: what is there goes when it is asked for", async () => {
    const network = await openForTest();
    await network.createAllocation(REQUEST);
    makeTap("stray", { alias: SLOT_ALIAS, master: BRIDGE });
    await network.reconcile({ minAgeMs: MINUTE_MS });
    stepClock(-HOUR_MS);
    expect(await left(network)).toEqual([]);
    expect(linkNamed("stray")).toBeUndefined();
  });

  it("between a standby and the next process: both guests are as young as before", async () => {
    const options = testOptions();
    const network = await openForTest(options);
    await network.createAllocation(REQUEST);
    await network.createAllocation({ instanceId: "vm-2", instanceName: "beta" });
    await network.standbyAllocation("vm-2");
    await network.close();
    stepClock(HOUR_MS);
    expect(await left(await openForTest(options), MINUTE_MS)).toEqual(["vm-1", "vm-2"]);
  });
});

describe("a live guest of an earlier process", () => {
  /** Its lease says something else when the next process opens. */
  async function adopted(edit: (lease: Buffer) => void): Promise<Network> {
    const options = testOptions();
    const network = await openForTest(options);
    const { ifindex } = await network.createAllocation(REQUEST);
    await network.close();
    LeaseMap.in(SHAPER).change(ifindex, edit);
    return openForTest(options);
  }

  it("that was made an hour ago by the wall clock, and just now by the other, is young", async () => {
    const network = await adopted((lease) =>
      lease.writeBigUInt64LE(BigInt(Date.now() - HOUR_MS), CREATED_MS_AT),
    );
    expect(await left(network, MINUTE_MS)).toEqual(["vm-1"]);
    expect((await network.verify()).differences).toEqual([]);
  });

  it("that was made just now by the wall clock, and long ago by the other, is old", async () => {
    const network = await adopted((lease) => lease.writeBigUInt64LE(1n, CREATED_BOOT_MS_AT));
    // The machine has been up for longer than that.
    expect(await left(network, 1000)).toEqual([]);
  });

  it("of an earlier release, which tells no age, is young from now on", async () => {
    const network = await adopted((lease) => {
      lease.writeBigUInt64LE(BigInt(Date.now() - HOUR_MS), CREATED_MS_AT);
      lease.writeBigUInt64LE(0n, CREATED_BOOT_MS_AT);
    });
    expect((await network.verify()).differences).toEqual([]);
    expect(await left(network, MINUTE_MS)).toEqual(["vm-1"]);
    await expect.poll(() => left(network, 20)).toEqual([]);
  });
});

describe("a guest in standby", () => {
  /** Its record says something else when the next process opens. */
  async function stored(
    edit: (lease: Record<string, unknown>) => object,
    restored = false,
  ): Promise<Network> {
    const options = testOptions() as NetworkOptions & { stateDir: string };
    const network = await openForTest(options);
    await network.createAllocation(REQUEST);
    await network.standbyAllocation("vm-1");
    await network.close();
    const path = join(options.stateDir, STORE_FILE);
    const edited = readFileSync(path, "latin1").split("\n").slice(0, -1).map(decodeLine) as {
      lease?: Record<string, unknown>;
    }[];
    const lines = edited.map((one) => (one.lease ? { ...one, lease: edit(one.lease) } : one));
    writeFileSync(path, lines.map(encodeLine).join(""));
    const next = await openForTest(options);
    if (restored) await next.recreateAllocation("vm-1");
    return next;
  }

  it.each([false, true])("keeps its age (restored: %s)", async (restored) => {
    const network = await stored((lease) => ({ ...lease, createdBootMs: 1 }), restored);
    expect(await left(network, 1000)).toEqual([]);
  });

  const unknown: [string, (lease: Record<string, unknown>) => object][] = [
    ["of another boot", (lease) => ({ ...lease, createdBootMs: 1, bootId: "another" })],
    ["of an earlier release", (lease) => ({ ...lease, createdBootMs: undefined })],
  ];
  it.each(unknown)("%s is young from now on", async (_, edit) => {
    const old = { createdMs: Date.now() - HOUR_MS };
    const network = await stored((lease) => ({ ...edit(lease), ...old }));
    expect(await left(network, MINUTE_MS)).toEqual(["vm-1"]);
    await network.recreateAllocation("vm-1");
    expect(await left(network, MINUTE_MS)).toEqual(["vm-1"]);
    expect((await network.verify()).differences).toEqual([]);
    await expect.poll(() => left(network, 20)).toEqual([]);
  });

  it("gives way to the younger one with its address, whatever the wall clock said", async () => {
    const options = testOptions() as NetworkOptions & { stateDir: string };
    const network = await openForTest(options);
    stepClock(HOUR_MS);
    const first = await network.createAllocation(REQUEST);
    const { ip } = first;
    await network.standbyAllocation("vm-1");
    const path = join(options.stateDir, STORE_FILE);
    const line = readFileSync(path, "latin1")
      .split("\n")
      .find((one) => one.includes('"lease"'));
    await network.releaseAllocation("vm-1");
    vi.restoreAllMocks();
    const other = { ...REQUEST, instanceId: "vm-2", instanceName: "beta" };
    await network.createAllocation({ ...other, ip });
    await network.standbyAllocation("vm-2");
    await network.close();
    // As if the disk had lost the end of the first one's record.
    writeFileSync(path, `${readFileSync(path, "latin1")}${line}\n`);
    const next = await openForTest(options);
    expect(next.listAllocations()).toMatchObject([{ instanceId: "vm-2", ip }]);
    expect(next.storeDamage).toHaveLength(1);
  });
});
