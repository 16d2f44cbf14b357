// One guest from its fork to its release: what the kernel holds for it, and what the caller sees of
// it.

import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import type { Allocation } from "../../dist/index.js";
import { compareKernelStates } from "../support/kernel-state.js";
import {
  classNamed,
  fdbOf,
  filterNames,
  indexOf,
  ipNumber,
  leafOf,
  linkNamed,
  macNumber,
  neighborsOf,
  readLeases,
  readNetworkLines,
  tbfOf,
} from "../support/kernel-view.js";
import { BRIDGE, expectRefused, openForTest, SHAPER, testOptions } from "../support/network.js";
import { REQUEST as LIMITED } from "../support/requests.js";

const REQUEST = { ...LIMITED, upload: { rate: "20mbit", ceil: "30mbit" } };
const NUD_STATIC = 0x40;
const NUD_PERMANENT = 0x80;
const CAPACITY_CLASS = 0x10001;

describe("a fork", () => {
  it("has a TAP on the bridge, isolated, without learning or flooding, up, with an owner", async () => {
    const network = await openForTest();
    const { tap, ifindex } = await network.createAllocation(REQUEST);
    expect(linkNamed(tap)).toMatchObject({
      ifindex,
      kind: "tun",
      master: indexOf(BRIDGE),
      up: true,
      port: {
        isolated: true,
        learning: false,
        unicastFlood: false,
        multicastFlood: false,
        broadcastFlood: false,
      },
      tun: {
        tap: true,
        persistent: true,
        vnetHdr: true,
        multiQueue: false,
        owner: process.geteuid?.(),
      },
    });
  });

  it("binds its address: a static forwarding entry and a permanent neighbour", async () => {
    const network = await openForTest();
    const { tap, ip, mac } = await network.createAllocation(REQUEST);
    expect(fdbOf(BRIDGE, tap)).toContainEqual({ mac: macNumber(mac), state: NUD_STATIC });
    expect(neighborsOf(BRIDGE)).toEqual([
      { ifindex: indexOf(BRIDGE), ip: ipNumber(ip), mac: macNumber(mac), state: NUD_PERMANENT },
    ]);
  });

  it("has its download limit on the TAP and its upload limit in a class with a queue in bytes", async () => {
    const network = await openForTest();
    const allocation = await network.createAllocation(REQUEST);
    expect(allocation.shaping).toBe("shaped");
    await allocation.shaped;
    expect(tbfOf(allocation.tap)).toMatchObject({ rate: 12_500_000 });
    const own = classNamed(SHAPER, allocation.classId);
    expect(own).toMatchObject({ parent: CAPACITY_CLASS, rate: 2_500_000, ceil: 3_750_000 });
    // 50 ms at the rate; what is longer than a frame is cut.
    expect(own && leafOf(own)).toMatchObject({
      kind: "tbf",
      tbf: { rate: 1e15, limitBytes: 125_000 },
    });
  });

  it("is guarded on both sides, in the lease map and in its alias", async () => {
    const network = await openForTest();
    const { tap, ifindex, ip, mac, classId } = await network.createAllocation(REQUEST);
    expect(filterNames(tap)).toEqual({ ingress: ["forknet-guard"], egress: ["forknet-gate"] });
    const classMinor = Number.parseInt(classId.slice(2), 16);
    expect(readLeases(SHAPER)).toEqual(
      new Map([[ifindex, { instanceId: "vm-1", classMinor, blocked: false }]]),
    );
    expect(linkNamed(tap)?.alias).toContain(
      `forknet1 vm-1 alpha ${ip} ${mac} ${classId} down=100mbit up=20mbit/30mbit at=`,
    );
  });

  it("gets an owner, a group and several queues when it asks for them", async () => {
    const network = await openForTest(
      testOptions({ tap: { owner: 1234, group: 5678, vnetHdr: false, multiQueue: true } }),
    );
    const { tap } = await network.createAllocation(REQUEST);
    expect(linkNamed(tap)?.tun).toMatchObject({
      owner: 1234,
      group: 5678,
      vnetHdr: false,
      multiQueue: true,
    });
  });

  it("is not isolated in a network that is not", async () => {
    const network = await openForTest(testOptions({ isolated: false }));
    const { tap } = await network.createAllocation(REQUEST);
    expect(linkNamed(tap)?.port).toMatchObject({
      isolated: false,
      learning: false,
      unicastFlood: false,
    });
  });

  it("gets exactly the address, MAC and TAP name it wishes", async () => {
    const network = await openForTest();
    const wish = { ip: "10.100.7.9", mac: "02:aa:bb:cc:dd:ee", tapName: "tap-nine" };
    expect(await network.createAllocation({ ...REQUEST, ...wish })).toMatchObject({
      ip: wish.ip,
      mac: wish.mac,
      tap: wish.tapName,
    });
    expect(linkNamed("tap-nine")?.master).toBe(indexOf(BRIDGE));
  });
});

describe("an allocation", () => {
  it("is visible in the tick of its request, as pending", async () => {
    const network = await openForTest();
    const fork = network.createAllocation(REQUEST);
    expect(network.getAllocation("vm-1")).toMatchObject({
      state: "pending",
      shaping: "none",
      ifindex: 0,
    });
    expect(network.listAllocations().map(({ instanceId }) => instanceId)).toEqual(["vm-1"]);
    expect(network.nameExists("alpha")).toBe(true);
    const allocation = await fork;
    expect(network.getAllocation("vm-1")).toBe(allocation);
    expect(allocation.state).toBe("active");
  });

  it("tells the guest's view of the network", async () => {
    const network = await openForTest(
      testOptions({ gateway: "10.100.0.1", dns: ["9.9.9.9", "8.8.8.8"] }),
    );
    expect(await network.createAllocation(REQUEST)).toMatchObject({
      instanceId: "vm-1",
      instanceName: "alpha",
      gateway: "10.100.0.1",
      netmask: "255.255.0.0",
      prefixLength: 16,
      dns: ["9.9.9.9", "8.8.8.8"],
    });
  });

  it("is nobody else's until its TAP is gone", async () => {
    // Of the 8 addresses 5 are for guests.
    const network = await openForTest(testOptions({ subnet: "10.100.0.0/29", pool: { size: 0 } }));
    const fork = (name: string) =>
      network.createAllocation({ instanceId: name, instanceName: name });
    const guests = await Promise.all(["a", "b", "c", "d", "e"].map(fork));
    const release = network.releaseAllocation("c");
    await expectRefused(() => fork("f"), "EXHAUSTED");
    await release;
    expect((await fork("f")).ip).toBe(guests[2]?.ip);
  });

  it("cannot be changed, and follows its guest", async () => {
    const network = await openForTest();
    const allocation = await network.createAllocation(REQUEST);
    expect(inspect(allocation)).toContain(`ip: '${allocation.ip}'`);
    expect(() => Object.assign(allocation, { ip: "10.100.0.9" })).toThrow(TypeError);
    expect(() => Object.assign(allocation, { state: "standby" })).toThrow(TypeError);
    const release = network.releaseAllocation("vm-1");
    expect(allocation.state).toBe("releasing");
    await release;
    expect(allocation).toMatchObject({ tap: "", ifindex: 0, classId: "" });
    expect(network.getAllocation("vm-1")).toBeUndefined();
    expect(network.nameExists("alpha")).toBe(false);
  });
});

describe("a release", () => {
  it("removes everything but the class, which the next guest gets", async () => {
    const network = await openForTest();
    const before = readNetworkLines();
    const first = await network.createAllocation(REQUEST);
    const { classId, ifindex } = first;
    const firstLeaf = classNamed(SHAPER, classId)?.leaf;
    await network.releaseAllocation("vm-1");
    expect(compareKernelStates(before, readNetworkLines())).toEqual([
      expect.stringMatching(`^\\+ class htb 100${classId.slice(2)} on ${SHAPER}$`),
      expect.stringMatching(`^\\+ qdisc tbf .* on ${SHAPER}$`),
    ]);
    expect(readLeases(SHAPER)).toEqual(new Map());

    const second = await network.createAllocation({
      instanceId: "vm-2",
      instanceName: "beta",
      upload: "5mbit",
    });
    expect(second.classId).toBe(classId);
    expect(second.ifindex).not.toBe(ifindex);
    // A leaf of its own: what the first guest left in the queue is gone.
    expect(classNamed(SHAPER, classId)).toMatchObject({ rate: 625_000, ceil: 2_500_000 });
    expect(classNamed(SHAPER, classId)?.leaf).not.toBe(firstLeaf);
  });

  it("is idempotent, and nothing to an id that nobody has", async () => {
    const network = await openForTest();
    await network.createAllocation(REQUEST);
    const before = readNetworkLines();
    await network.releaseAllocation("vm-9");
    expect(readNetworkLines()).toEqual(before);
    await Promise.all([network.releaseAllocation("vm-1"), network.releaseAllocation("vm-1")]);
    await network.releaseAllocation("vm-1");
    expect(network.listAllocations()).toEqual([]);
  });

  it("leaves its neighbour alone", async () => {
    const network = await openForTest();
    const other = await network.createAllocation({
      ...REQUEST,
      instanceId: "vm-2",
      instanceName: "beta",
    });
    const before = guestLines(other);
    await network.createAllocation(REQUEST);
    await network.releaseAllocation("vm-1");
    expect(guestLines(other)).toEqual(before);
    expect([...readLeases(SHAPER).keys()]).toEqual([other.ifindex]);
  });

  it("frees the identity, when it is done and not before", async () => {
    const network = await openForTest();
    const wish = { ...REQUEST, ip: "10.100.0.7", tapName: "tap-seven" };
    await network.createAllocation(wish);
    const release = network.releaseAllocation("vm-1");
    await expect(network.createAllocation(wish)).rejects.toMatchObject({
      code: "ERR_FORKNET_ID_EXISTS",
    });
    const other = { ...wish, instanceId: "vm-2", instanceName: "beta" };
    await expect(network.createAllocation(other)).rejects.toMatchObject({
      code: "ERR_FORKNET_ADDRESS_IN_USE",
    });
    await release;
    expect(await network.createAllocation(wish)).toMatchObject({
      ip: "10.100.0.7",
      tap: "tap-seven",
    });
  });

  it("refuses an id that cannot be one", async () => {
    const network = await openForTest();
    await expectRefused(() => network.releaseAllocation("a/b"), "CONFIG");
  });
});

function guestLines({ tap, ifindex }: Allocation): readonly string[] {
  return readNetworkLines().filter(
    (line) => line.includes(` on ${tap}`) || line.includes(`index ${ifindex} `),
  );
}
