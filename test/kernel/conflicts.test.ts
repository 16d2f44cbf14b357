// What openNetwork refuses: options that make no sense, and a host that has other plans for the
// same names and addresses. Each refusal leaves the kernel as it was.

import { describe, expect, it, onTestFinished } from "vitest";
import { type NetworkOptions, openNetwork } from "../../dist/index.js";
import { deleteLink, linkNamed, makeForeignLink, tellKernel } from "../support/kernel-view.js";
import { BRIDGE, expectNotOpened, openForTest, SHAPER, testOptions } from "../support/network.js";

const FOREIGN = "other0";
const ip = (a: number, b: number, c: number, d: number): number =>
  ((a * 256 + b) * 256 + c) * 256 + d;

function foreignLink(name: string, ...addresses: { ip: number; prefixLength: number }[]): number {
  onTestFinished(() => deleteLink(name));
  return makeForeignLink(name, ...addresses);
}

function foreignBridge(...addresses: { ip: number; prefixLength: number }[]): number {
  tellKernel({ op: "link.create", name: BRIDGE, kind: "bridge" });
  onTestFinished(() => deleteLink(BRIDGE));
  const ifindex = linkNamed(BRIDGE)?.ifindex as number;
  for (const address of addresses) tellKernel({ op: "address.add", ifindex, ...address });
  return ifindex;
}

describe("options", () => {
  const bad: [string, object, string][] = [
    ["an unknown option", { brigde: "vmbr0" }, "brigde"],
    ["a bridge name of 16 bytes", { bridge: "a".repeat(16) }, "bridge"],
    ["a bridge name of 15 bytes and a slash", { bridge: "vm/br0" }, "bridge"],
    ["an empty bridge name", { bridge: "" }, "bridge"],
    ["no bridge", { bridge: undefined }, "bridge"],
    ["a subnet that is a word", { subnet: "lan" }, "subnet"],
    ["a subnet with host bits", { subnet: "10.100.0.1/16" }, "subnet"],
    ["a subnet with a fifth byte", { subnet: "10.100.0.0.0/16" }, "subnet"],
    ["a subnet with a byte of 256", { subnet: "10.256.0.0/16" }, "subnet"],
    ["a /7", { subnet: "10.0.0.0/7" }, "subnet"],
    ["a /30", { subnet: "10.100.0.0/30" }, "subnet"],
    ["an IPv6 subnet", { subnet: "fd00::/64" }, "subnet"],
    ["a gateway outside", { gateway: "10.101.0.1" }, "gateway"],
    ["the network address as gateway", { gateway: "10.100.0.0" }, "gateway"],
    ["the broadcast address as gateway", { gateway: "10.100.255.255" }, "gateway"],
    ["a name server that is a name", { dns: ["one.one.one.one"] }, "dns"],
    ["a capacity of 0", { uploadCapacity: 0 }, "uploadCapacity"],
    ["a capacity in mbps", { uploadCapacity: "100mbps" }, "uploadCapacity"],
    ["a fractional base limit", { baseLimit: "1.5mbit" }, "baseLimit"],
    ["a burst multiplier under 1", { uploadBurstMultiplier: 0.5 }, "uploadBurstMultiplier"],
    ["an unknown unshaped", { unshaped: "open" }, "unshaped"],
    ["a pool of -1", { pool: { size: -1 } }, "pool.size"],
    ["a pool of 513", { pool: { size: 513 } }, "pool.size"],
    ["a relative stateDir", { stateDir: "state" }, "stateDir"],
    ["an unknown tap option", { tap: { mtu: 9000 } }, "mtu"],
    ["an owner that is a name", { tap: { owner: "root" } }, "tap.owner"],
    ["nat, which is not built", { nat: { uplink: "eth0" } }, "nat"],
  ];

  it.each(bad)("with %s are refused", async (_, wrong, names) => {
    const options = { ...testOptions(), ...wrong } as NetworkOptions;
    await expectNotOpened(options, "CONFIG", { message: expect.stringContaining(names) as string });
  });

  it("that are no object are refused", async () => {
    await expectNotOpened(undefined as unknown as NetworkOptions, "CONFIG");
    await expectNotOpened("vmbr0" as unknown as NetworkOptions, "CONFIG");
  });

  it("at the edge are taken: a name of 15 bytes, a /29, the last address as gateway", async () => {
    const options = testOptions({
      bridge: "b".repeat(15),
      subnet: "10.100.0.0/29",
      gateway: "10.100.0.6",
    });
    const network = await openForTest(options);
    const forks = [1, 2, 3, 4, 5].map((i) =>
      network.createAllocation({ instanceId: `vm-${i}`, instanceName: `name-${i}` }),
    );
    const ips = (await Promise.all(forks)).map((guest) => guest.ip).sort();
    expect(ips).toEqual([1, 2, 3, 4, 5].map((i) => `10.100.0.${i}`));
    await expect(
      network.createAllocation({ instanceId: "vm-6", instanceName: "name-6" }),
    ).rejects.toMatchObject({
      code: "ERR_FORKNET_EXHAUSTED",
      message: expect.stringContaining("10.100.0.0/29") as string,
    });
  });
});

describe("the subnet", () => {
  it.each([
    ["the same", ip(10, 100, 0, 5), 16],
    ["a part of it", ip(10, 100, 7, 5), 24],
    ["a larger one around it", ip(10, 1, 0, 5), 8],
    ["one address in it", ip(10, 100, 9, 9), 32],
  ])(
    "is refused while another interface has an address in %s",
    async (_, address, prefixLength) => {
      foreignLink(FOREIGN, { ip: address, prefixLength });
      await expectNotOpened(testOptions(), "CONFLICT", {
        message: expect.stringContaining(FOREIGN) as string,
      });
    },
  );

  it("is refused while another interface has a route into it", async () => {
    const ifindex = foreignLink(FOREIGN, { ip: ip(192, 168, 5, 1), prefixLength: 24 });
    const destination = ip(10, 100, 32, 0);
    tellKernel({
      op: "route.add",
      destination,
      prefixLength: 20,
      gateway: ip(192, 168, 5, 2),
      ifindex,
    });
    await expectNotOpened(testOptions(), "CONFLICT", {
      message: expect.stringContaining("10.100.32.0/20") as string,
    });
  });

  it("is fine beside others, and under a default route", async () => {
    const ifindex = foreignLink(
      FOREIGN,
      { ip: ip(10, 99, 255, 254), prefixLength: 16 },
      { ip: ip(10, 101, 0, 1), prefixLength: 16 },
    );
    tellKernel({
      op: "route.add",
      destination: 0,
      prefixLength: 0,
      gateway: ip(10, 101, 0, 2),
      ifindex,
    });
    await openForTest();
  });
});

describe("the bridge", () => {
  it("is refused when a link of that name is none", async () => {
    foreignLink(BRIDGE);
    await expectNotOpened(testOptions(), "CONFLICT", {
      device: BRIDGE,
      message: expect.stringContaining("ifb") as string,
    });
  });

  it("is refused when it has an address of another network", async () => {
    foreignBridge({ ip: ip(192, 168, 5, 1), prefixLength: 24 });
    await expectNotOpened(testOptions(), "CONFLICT", {
      message: expect.stringContaining("192.168.5.1/24") as string,
    });
  });

  it("is refused when it has another address of the subnet, or the gateway's with another prefix", async () => {
    const ifindex = foreignBridge({ ip: ip(10, 100, 0, 2), prefixLength: 16 });
    await expectNotOpened(testOptions(), "CONFLICT", {
      message: expect.stringContaining("10.100.0.2/16") as string,
    });
    tellKernel({ op: "address.delete", ifindex, ip: ip(10, 100, 0, 2), prefixLength: 16 });
    tellKernel({ op: "address.add", ifindex, ip: ip(10, 100, 0, 1), prefixLength: 24 });
    await expectNotOpened(testOptions(), "CONFLICT", {
      message: expect.stringContaining("10.100.0.1/24") as string,
    });
  });

  it("is taken when it has exactly the gateway's", async () => {
    const ifindex = foreignBridge({ ip: ip(10, 100, 0, 1), prefixLength: 16 });
    await openForTest();
    expect(linkNamed(BRIDGE)?.ifindex).toBe(ifindex);
  });

  it("is refused when it is another network of ours", async () => {
    const first = await openForTest();
    await first.close();
    await expectNotOpened(testOptions({ subnet: "10.200.0.0/16" }), "CONFLICT", { device: BRIDGE });
    await expectNotOpened(testOptions({ gateway: "10.100.0.2" }), "CONFLICT", { device: BRIDGE });
  });
});

it("refuses a link that has the shaper's name", async () => {
  foreignLink(SHAPER);
  await expectNotOpened(testOptions(), "CONFLICT", { device: SHAPER });
});

it("refuses a state directory whose standby guests are of another subnet", async () => {
  const options = testOptions();
  const first = await openForTest(options);
  await first.createAllocation({ instanceId: "vm-1", instanceName: "alpha" });
  await first.standbyAllocation("vm-1");
  await first.close();
  const other = { ...options, bridge: "vmbr1", subnet: "10.200.0.0/16" };
  await expect(openNetwork(other)).rejects.toMatchObject({ code: "ERR_FORKNET_CONFLICT" });
});
