// A bridge that somebody else made: what a network changes on it, what a failed open takes back,
// and whose the gateway's address is when the network goes.

import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { openNetwork } from "../../dist/index.js";
import { Agent } from "../support/agent.js";
import {
  addressesOf,
  classNamed,
  deleteLink,
  indexOf,
  ipNumber,
  linkNamed,
  macNumber,
  makeForeignLink,
  readSettings,
  tellKernel,
} from "../support/kernel-view.js";
import {
  BRIDGE,
  expectNotOpened,
  openForTest,
  poolFilled,
  SHAPER,
  testOptions,
} from "../support/network.js";
import { REQUEST } from "../support/requests.js";

const GATEWAY = { ip: ipNumber("10.100.0.1"), prefixLength: 16 };

const SYSCTLS = ["ipv6/conf", "ipv4/conf", "ipv4/neigh"].flatMap((tree) =>
  ["disable_ipv6", "send_redirects", "mcast_solicit"].map((key) => [tree, key] as const),
);

/** The settings of a bridge of ours that opening writes, those that the kernel has. */
function sysctlsOf(bridge: string): string[] {
  return SYSCTLS.flatMap(([tree, key]) => {
    try {
      const path = `/proc/sys/net/${tree}/${bridge}/${key}`;
      return [`${path} ${readFileSync(path, "utf8").trim()}`];
    } catch {
      return [];
    }
  });
}

/**
 * Makes every open fail at one of its last steps, after it has changed what it changes: strangers are
 * in all link groups that it could delete TAPs by.
 */
function standInTheWay(): () => void {
  const strangers = ["stranger", "stranger1", "stranger2", "stranger3"];
  strangers.forEach((name, i) => {
    const group = 0x666b0000 + i * 0x10000 + indexOf(BRIDGE);
    tellKernel({ op: "link.set", ifindex: makeForeignLink(name), group });
  });
  const goAway = () => strangers.forEach(deleteLink);
  onTestFinished(() => {
    if (linkNamed("stranger")) goAway();
  });
  return goAway;
}

beforeEach(() => {
  tellKernel({ op: "link.create", name: BRIDGE, kind: "bridge" });
  const ifindex = indexOf(BRIDGE);
  // The kernel gives a link its queue when it is first set up, and never takes it back.
  tellKernel({ op: "link.set", ifindex, up: true }, { op: "link.set", ifindex, up: false });
  onTestFinished(() => deleteLink(BRIDGE));
});

describe("an open that fails", () => {
  it("leaves the settings of the bridge as they were", async () => {
    const before = sysctlsOf(BRIDGE);
    expect(before.length).toBeGreaterThanOrEqual(2);
    const goAway = standInTheWay();
    await expectNotOpened(testOptions(), "CONFLICT", { device: "stranger" });
    expect(sysctlsOf(BRIDGE)).toEqual(before);
    expect(addressesOf(BRIDGE)).toEqual([]);
    expect(linkNamed(BRIDGE)?.up).toBe(false);
    goAway();
    const network = await openForTest();
    expect(sysctlsOf(BRIDGE)).toEqual(before);
    await network.destroy();
    expect(sysctlsOf(BRIDGE)).toEqual(before);
  });

  it("leaves capacity and isolation of the network that is there as they were", async () => {
    const options = testOptions({ uploadCapacity: "1gbit" });
    const first = await openForTest(options);
    const { tap } = await first.createAllocation(REQUEST);
    await first.close();
    const settings = readSettings(tap);
    const goAway = standInTheWay();
    tellKernel({ op: "link.set", ifindex: indexOf(SHAPER), up: false });
    const other = { ...options, uploadCapacity: "40gbit", isolated: false };
    await expectNotOpened(other, "CONFLICT", { device: "stranger" });
    expect(classNamed(SHAPER, "1:1")).toMatchObject({ rate: 1e9 / 8, ceil: 1e9 / 8 });
    expect(linkNamed(SHAPER)?.up).toBe(false);
    expect(readSettings(tap)).toEqual(settings);
    goAway();
    await openForTest(other);
    expect(classNamed(SHAPER, "1:1")?.rate).toBe(40e9 / 8);
    expect(linkNamed(SHAPER)?.up).toBe(true);
    expect(readSettings(tap)).not.toEqual(settings);
  });
});

describe("an open that fails after the shaper was deleted", () => {
  it("leaves what the guards of live guests are told", async () => {
    const options = testOptions();
    const first = await openForTest(options);
    const { tap } = await first.createAllocation(REQUEST);
    await first.close();
    deleteLink(SHAPER);
    const settings = readSettings(tap);
    const goAway = standInTheWay();
    await expectNotOpened({ ...options, isolated: false }, "CONFLICT", { device: "stranger" });
    expect(readSettings(tap)).toEqual(settings);
    goAway();
    await openForTest(options);
  });
});

describe("a bridge that was down", () => {
  it("is down again when the network goes, whoever ends it", async () => {
    await (await openForTest()).destroy();
    expect(linkNamed(BRIDGE)?.up).toBe(false);
    const options = testOptions();
    const agent = new Agent();
    await agent.open(options);
    await agent.kill();
    expect(linkNamed(BRIDGE)?.up).toBe(true);
    const network = await openForTest(options);
    expect((await network.reconcile({ dryRun: true })).actions).toEqual([]);
    await network.destroy();
    expect(linkNamed(BRIDGE)?.up).toBe(false);
  });

  it("stays up when others use it by then, and one that was up stays so", async () => {
    const network = await openForTest();
    const master = indexOf(BRIDGE);
    tellKernel({ op: "link.set", ifindex: makeForeignLink("uplink9"), master });
    onTestFinished(() => deleteLink("uplink9"));
    await network.destroy();
    expect(linkNamed(BRIDGE)?.up).toBe(true);
    deleteLink("uplink9");
    makeForeignLink("uplink9");
    await (await openForTest()).destroy();
    expect(linkNamed(BRIDGE)?.up).toBe(true);
  });
});

describe("the MAC of a bridge without other ports", () => {
  it("is the gateway's, and does not come and go with the guests", async () => {
    const mac = linkNamed(BRIDGE)?.mac;
    const network = await openForTest(testOptions({ pool: { size: 3 } }));
    await poolFilled(network, 3);
    await network.createAllocation(REQUEST);
    expect(linkNamed(BRIDGE)?.mac).toBe(mac);
    await network.releaseAllocation(REQUEST.instanceId);
    expect((await network.verify()).differences).toEqual([]);
    await network.destroy();
    expect(linkNamed(BRIDGE)?.mac).toBe(mac);
  });

  it("does not become that of a TAP which a former release left with the kernel's choice", async () => {
    const options = testOptions();
    const former = await openForTest(options);
    const { tap } = await former.createAllocation(REQUEST);
    const high = linkNamed(tap)?.mac;
    await former.close();
    tellKernel({ op: "link.set", ifindex: indexOf(tap), mac: macNumber("02:00:00:00:00:77") });
    const network = await openForTest(options);
    expect(linkNamed(tap)?.mac).toBe(high);
    expect((await network.verify()).differences).toEqual([]);
  });

  it("that is none becomes the gateway's own", async () => {
    const port = makeForeignLink("uplink9");
    onTestFinished(() => deleteLink("uplink9"));
    // With its last port a bridge loses the MAC that it had from it.
    tellKernel({ op: "link.set", ifindex: port, master: indexOf(BRIDGE) });
    tellKernel({ op: "link.set", ifindex: port, master: 0 });
    expect(linkNamed(BRIDGE)?.mac).toBe(0);
    const network = await openForTest();
    await network.createAllocation(REQUEST);
    expect(linkNamed(BRIDGE)?.mac).toBe(macNumber("02:00:0a:64:00:01"));
    expect((await network.verify()).differences).toEqual([]);
  });
});

describe("the gateway's address", () => {
  it("goes with the network that added it, and the bridge stays", async () => {
    const network = await openForTest();
    expect(addressesOf(BRIDGE)).toEqual([GATEWAY.ip]);
    await network.destroy();
    expect(addressesOf(BRIDGE)).toEqual([]);
    expect(linkNamed(BRIDGE)?.kind).toBe("bridge");
  });

  it("goes also when another process destroys the network, whatever ended the first", async () => {
    for (const end of ["close", "kill"] as const) {
      const options = testOptions();
      const agent = new Agent();
      await agent.open(options);
      await (end === "close" ? agent.call("close") : agent.kill());
      expect(addressesOf(BRIDGE)).toEqual([GATEWAY.ip]);
      const network = await openForTest(options);
      expect((await network.reconcile({ dryRun: true })).actions).toEqual([]);
      await network.destroy();
      expect(addressesOf(BRIDGE)).toEqual([]);
    }
  });

  it("stays when it was there before", async () => {
    tellKernel({ op: "address.add", ifindex: indexOf(BRIDGE), ...GATEWAY });
    const options = testOptions();
    await (await openNetwork(options)).close();
    await (await openNetwork(options)).destroy();
    expect(addressesOf(BRIDGE)).toEqual([GATEWAY.ip]);
  });

  it("takes no other address of the subnet along when it goes", async () => {
    const network = await openForTest();
    const other = { ip: ipNumber("10.100.3.1"), prefixLength: 16 };
    tellKernel({ op: "address.add", ifindex: indexOf(BRIDGE), ...other });
    expect((await network.verify()).differences).toEqual([]);
    await network.destroy();
    expect(addressesOf(BRIDGE)).toEqual([other.ip]);
  });

  it("is put back when somebody took it, and still goes with the network", async () => {
    const options = testOptions();
    await (await openForTest(options)).close();
    tellKernel({ op: "address.delete", ifindex: indexOf(BRIDGE), ...GATEWAY });
    const network = await openForTest(options);
    expect(addressesOf(BRIDGE)).toEqual([GATEWAY.ip]);
    tellKernel({ op: "address.delete", ifindex: indexOf(BRIDGE), ...GATEWAY });
    await network.destroy();
    expect(addressesOf(BRIDGE)).toEqual([]);
  });
});
