// The agent is killed with kill -9, and the next process opens the network: guests are back as they
// were, what nobody owns goes, what died half way is finished.

import { describe, expect, it } from "vitest";
import type { Allocation, AllocationRequest, NetworkOptions } from "../../dist/index.js";
import { Agent, type PlainAllocation } from "../support/agent.js";
import { udpFrame } from "../support/frames.js";
import { compareKernelStates } from "../support/kernel-state.js";
import {
  classNamed,
  filterNames,
  indexOf,
  linkNamed,
  readLeases,
  readNetworkLines,
  tbfOf,
  tellKernel,
  warmSlots,
  withNetlink,
} from "../support/kernel-view.js";
import { BRIDGE, openForTest, SHAPER, testOptions } from "../support/network.js";
import { RawTap } from "../support/raw-tap.js";

const ALPHA = {
  instanceId: "vm-1",
  instanceName: "alpha",
  download: "100mbit",
  upload: { rate: "20mbit", ceil: "70mbit" },
};
const BETA = { instanceId: "vm-2", instanceName: "beta", download: "50mbit", upload: "10mbit" };
const GAMMA = {
  instanceId: "vm-3",
  instanceName: "gamma",
  download: "30mbit",
  upload: { rate: "1mbit", ceil: "9mbit" },
};
const BASE_BYTES = 10e6 / 8;
const WITHOUT_SYS_ADMIN = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
const TBF_HANDLE = 0x10000;

/** An agent that has run one guest for each request and was killed; the guests as it had them. */
async function killedAgent(
  options: NetworkOptions,
  ...requests: AllocationRequest[]
): Promise<PlainAllocation[]> {
  const agent = new Agent();
  await agent.open(options);
  const guests: PlainAllocation[] = [];
  for (const request of requests) guests.push(await agent.fork(request));
  await agent.kill();
  return guests;
}

async function filledPool(size: number): Promise<void> {
  await expect.poll(() => linkNamed(BRIDGE) && warmSlots(BRIDGE).length).toBe(size);
}

function expectLimits(
  { tap, classId }: PlainAllocation,
  download: number,
  rate: number,
  ceil: number,
): void {
  expect(tbfOf(tap)?.rate).toBe(download / 8);
  expect(classNamed(SHAPER, classId)).toMatchObject({ rate: rate / 8, ceil: ceil / 8 });
}

describe("after kill -9", () => {
  it("guests are back with identity, TAP, class and limits; standby stays; warm slots go", async () => {
    const options = testOptions({ pool: { size: 4 } });
    const agent = new Agent();
    await agent.open(options);
    await filledPool(4);
    const warm = await agent.fork(ALPHA);
    const cold = await agent.fork({ ...BETA, tapName: "tap-cold" });
    const gone = await agent.fork(GAMMA);
    await agent.call("standbyAllocation", "vm-3");
    await filledPool(4);
    const slots = warmSlots(BRIDGE);
    await expect.poll(() => tbfOf(warm.tap)?.rate).toBe(100e6 / 8);
    await agent.kill();

    const network = await openForTest({ ...options, pool: { size: 0 } });
    expect(network.listAllocations()).toHaveLength(3);
    for (const was of [warm, cold]) {
      const found = network.getAllocation(was.instanceId) as Allocation;
      expect(found).toMatchObject({ ...was, state: "active", shaping: "shaped" });
      expect(linkNamed(was.tap)?.ifindex).toBe(was.ifindex);
      expect(readLeases(SHAPER).get(was.ifindex)?.instanceId).toBe(was.instanceId);
      expect(filterNames(was.tap)).toEqual({
        ingress: ["forknet-guard"],
        egress: ["forknet-gate"],
      });
      await found.shaped;
    }
    expectLimits(warm, 100e6, 20e6, 70e6);
    expectLimits(cold, 50e6, 10e6, 40e6);
    expect(network.getAllocation("vm-3")).toMatchObject({
      ip: gone.ip,
      mac: gone.mac,
      state: "standby",
      tap: "",
    });
    await expect.poll(() => slots.filter(linkNamed)).toEqual([]);
    expectLimits(await network.recreateAllocation("vm-3"), 30e6, 1e6, 9e6);
  });

  it("names, addresses and classes of adopted guests are taken", async () => {
    const options = testOptions();
    const [was] = await killedAgent(options, ALPHA);
    const network = await openForTest(options);
    const other = { instanceId: "vm-2", instanceName: "beta" };
    const code = (name: string) => ({ code: `ERR_FORKNET_${name}` });
    await expect(network.createAllocation(ALPHA)).rejects.toMatchObject(code("ID_EXISTS"));
    await expect(
      network.createAllocation({ ...other, instanceName: "alpha" }),
    ).rejects.toMatchObject(code("NAME_EXISTS"));
    for (const wish of [{ ip: was?.ip }, { mac: was?.mac }, { tapName: was?.tap }] as object[]) {
      await expect(network.createAllocation({ ...other, ...wish })).rejects.toMatchObject(
        code("ADDRESS_IN_USE"),
      );
    }
    expect((await network.createAllocation(other)).classId).not.toBe(was?.classId);
  });

  it("an adopted guest can be released, put into standby and given other limits", async () => {
    const options = testOptions();
    await killedAgent(options, ALPHA, BETA, GAMMA);
    const network = await openForTest(options);
    await network.updateLimits("vm-1", { download: "7mbit" });
    expectLimits(network.getAllocation("vm-1") as Allocation, 7e6, 20e6, 70e6);
    await network.standbyAllocation("vm-2");
    expectLimits(await network.recreateAllocation("vm-2"), 50e6, 10e6, 40e6);
    await network.releaseAllocation("vm-3");
    expect([...readLeases(SHAPER).values()].map(({ instanceId }) => instanceId).sort()).toEqual([
      "vm-1",
      "vm-2",
    ]);
  });

  it("an adopted guest's uploads still pass its class", async () => {
    const options = testOptions();
    const [was] = (await killedAgent(options, ALPHA)) as [PlainAllocation];
    const network = await openForTest(options);
    const raw = new RawTap({ tap: was.tap });
    const toGateway = {
      destination: "02:00:0a:64:00:01",
      destinationIp: was.gateway,
      destinationPort: 9,
    };
    raw.send(udpFrame({ source: was.mac, sourceIp: was.ip, ...toGateway }));
    await expect.poll(() => classNamed(SHAPER, was.classId)?.stats.packets).toBe(1);
    raw.close();
    expect(network.drops().unclassified).toBe(0);
  });
});

describe("a death half way", () => {
  it.each(["limit", "block"] as const)(
    "between arming and shaping ends shaped (unshaped: %s)",
    async (unshaped) => {
      const options = testOptions({ pool: { size: 2 }, unshaped });
      const agent = new Agent();
      await agent.open(options);
      await filledPool(2);
      await agent.call("reconcile", { dryRun: true });
      await agent.forkAndDie(ALPHA);
      const [ifindex] = [...readLeases(SHAPER).keys()] as [number];
      const tap = withNetlink((netlink) => netlink.link({ ifindex }))?.name as string;
      expect(tbfOf(tap)?.rate).toBe(BASE_BYTES);
      expect(readLeases(SHAPER).get(ifindex)).toMatchObject({
        instanceId: "vm-1",
        blocked: unshaped === "block",
      });

      const network = await openForTest({ ...options, pool: { size: 0 } });
      const found = network.getAllocation("vm-1") as Allocation;
      expect(found).toMatchObject({ state: "active", tap, ifindex });
      await found.shaped;
      expectLimits(found, 100e6, 20e6, 70e6);
      expect(readLeases(SHAPER).get(ifindex)?.blocked).toBe(false);
      expect(linkNamed(tap)?.alias).toMatch(/^forknet1 vm-1 alpha /);
    },
  );

  it.each([1, 5, 20])(
    "of a burst, after %i of 40 forks, leaves guests that are whole and nothing else",
    async (answered) => {
      const start = readNetworkLines();
      const options = testOptions();
      const agent = new Agent();
      await agent.open(options);
      const request = (i: number) => ({
        ...ALPHA,
        instanceId: `vm-${i}`,
        instanceName: `name-${i}`,
      });
      const forks = Array.from({ length: 40 }, (_, i) => agent.fork(request(i)));
      const outcomes = Promise.allSettled(forks);
      await Promise.all(forks.slice(0, answered));
      await agent.kill();
      const known = (await outcomes).flatMap((outcome) =>
        outcome.status === "fulfilled" ? [outcome.value] : [],
      );
      const network = await openForTest(options);
      const found = network.listAllocations();
      expect(found.length).toBeGreaterThanOrEqual(known.length);
      expect(found.map(({ instanceId }) => instanceId)).toEqual(
        expect.arrayContaining(known.map(({ instanceId }) => instanceId)),
      );
      await Promise.all(found.map(({ shaped }) => shaped));
      for (const guest of found) expectLimits(guest, 100e6, 20e6, 70e6);
      const taps = () =>
        withNetlink((netlink) => netlink.links({ kind: "tun" })).map(({ ifindex }) => ifindex);
      await expect
        .poll(() => new Set(taps()))
        .toEqual(new Set(found.map(({ ifindex }) => ifindex)));
      expect(new Set(readLeases(SHAPER).keys())).toEqual(new Set(taps()));
      // Who was lost may be asked for again.
      const missing = forks.map((_, i) => i).filter((i) => !network.getAllocation(`vm-${i}`));
      await Promise.all(missing.map((i) => network.createAllocation(request(i))));
      expect(network.listAllocations()).toHaveLength(40);
      await network.destroy();
      expect(compareKernelStates(start, readNetworkLines())).toEqual([]);
    },
  );

  it("of limits that somebody changed meanwhile is mended", async () => {
    const options = testOptions();
    const [first, second] = (await killedAgent(options, ALPHA, BETA)) as [
      PlainAllocation,
      PlainAllocation,
    ];
    const { ifindex } = first;
    tellKernel({
      op: "qdisc.tbf",
      verb: "change",
      ifindex,
      handle: TBF_HANDLE,
      rate: 1000,
      burstBytes: 9000,
      limitBytes: 90_000,
    });
    const shaper = {
      ifindex: indexOf(SHAPER),
      parent: 0x10001,
      quantumBytes: 60_000,
      burstBytes: 9000,
      cburstBytes: 9000,
    };
    const handle = 0x10000 | Number.parseInt(second.classId.slice(2), 16);
    tellKernel({ op: "class.htb", verb: "change", ...shaper, handle, rate: 1000, ceil: 2000 });
    const network = await openForTest(options);
    await Promise.all(network.listAllocations().map(({ shaped }) => shaped));
    expectLimits(first, 100e6, 20e6, 70e6);
    expectLimits(second, 50e6, 10e6, 40e6);
  });

  it("of a guest whose TAP is deleted meanwhile is forgotten", async () => {
    const options = testOptions();
    const [was] = (await killedAgent(options, ALPHA)) as [PlainAllocation];
    tellKernel({ op: "link.delete", ifindex: was.ifindex });
    const network = await openForTest(options);
    expect(network.listAllocations()).toEqual([]);
    expect(readLeases(SHAPER)).toEqual(new Map());
    expect(await network.createAllocation({ ...ALPHA, ip: was.ip })).toMatchObject({
      ip: was.ip,
      mac: was.mac,
    });
  });
});

it("adopts without CAP_SYS_ADMIN, from the aliases", async () => {
  const options = testOptions();
  const [was] = (await killedAgent(options, ALPHA)) as [PlainAllocation];
  const agent = new Agent(WITHOUT_SYS_ADMIN);
  expect(await agent.open(options)).toMatchObject([{ ...was, state: "active", shaping: "shaped" }]);
  expectLimits(was, 100e6, 20e6, 70e6);
  const leases = readLeases(SHAPER);
  expect([...leases]).toMatchObject([[was.ifindex, { instanceId: "vm-1", blocked: false }]]);

  const raw = new RawTap({ tap: was.tap });
  const toGateway = {
    destination: "02:00:0a:64:00:01",
    destinationIp: was.gateway,
    destinationPort: 9,
  };
  raw.send(udpFrame({ source: was.mac, sourceIp: was.ip, ...toGateway }));
  await expect.poll(() => classNamed(SHAPER, was.classId)?.stats.packets).toBe(1);
  raw.close();
  await agent.call("destroy");
});
