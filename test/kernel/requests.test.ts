// What a fork refuses: values that make no sense, and what somebody else has. Each refusal leaves
// the kernel and the network's books as they were, so the same name can be used at once.

import { describe, expect, it, onTestFinished } from "vitest";
import type { AllocationRequest } from "../../dist/index.js";
import { loadAddon } from "../../src/kernel/addon.js";
import { deleteLink, linkNamed, makeForeignLink, tellKernel } from "../support/kernel-view.js";
import { BRIDGE, expectRefused, openForTest, poolFilled, testOptions } from "../support/network.js";

const REQUEST = { instanceId: "vm-1", instanceName: "alpha" };
const OTHER = { instanceId: "vm-2", instanceName: "beta" };

describe("a fork is refused", () => {
  const labels: [string, unknown][] = [
    ["empty", ""],
    ["of 65 characters", "a".repeat(65)],
    ["with a slash", "a/b"],
    ["with a newline", "a\n"],
    ["with NUL", "a\0b"],
    ["with a space", "a b"],
    ["with an umlaut", "ü"],
    ["that is a number", 7],
    ["that is missing", undefined],
  ];
  const rates: [string, unknown][] = [
    ["0", 0],
    ["a zero with a unit", "0mbit"],
    ["negative", -1],
    ["a negative string", "-1mbit"],
    ["a fraction", 1.5],
    ["a fraction with a unit", "1.5mbit"],
    ["in mbps", "10mbps"],
    ["in MB/s", "10MB/s"],
    ["over 2^53", 2 ** 53],
    ["over 2^53 with a unit", "9008tbit"],
    ["infinite", Number.POSITIVE_INFINITY],
    ["no number", Number.NaN],
    ["without digits", "fast"],
    ["empty", ""],
  ];
  const others: [string, object, string][] = [
    ["an unknown key", { vlan: 7 }, "vlan"],
    ["a ceil under the rate", { upload: { rate: "20mbit", ceil: "19mbit" } }, "upload.ceil"],
    ["a ceil without a rate", { upload: { ceil: "19mbit" } }, "upload.rate"],
    ["a rate of null", { upload: { rate: null } }, "upload.rate"],
    ["an unknown key in upload", { upload: { rate: "20mbit", burst: 9 } }, "upload"],
    ["an IP outside the subnet", { ip: "10.101.0.7" }, "ip"],
    ["the gateway's IP", { ip: "10.100.0.1" }, "ip"],
    ["the network address", { ip: "10.100.0.0" }, "ip"],
    ["the broadcast address", { ip: "10.100.255.255" }, "ip"],
    ["an IP with a leading zero", { ip: "10.100.0.07" }, "ip"],
    ["a multicast MAC", { mac: "01:00:5e:00:00:01" }, "mac"],
    ["an all-zero MAC", { mac: "00:00:00:00:00:00" }, "mac"],
    ["half a MAC", { mac: "02:00:00" }, "mac"],
    ["a TAP name of 16 bytes", { tapName: "t".repeat(16) }, "tapName"],
    ["a TAP name with a slash", { tapName: "a/b" }, "tapName"],
    ["a TAP name with a format", { tapName: "tap%d" }, "tapName"],
  ];

  it("for every value that makes no sense", async () => {
    const network = await openForTest();
    const refused = async (wrong: object, names: string): Promise<void> => {
      const message = expect.stringContaining(names) as string;
      await expectRefused(
        () => network.createAllocation({ ...REQUEST, ...wrong } as AllocationRequest),
        "CONFIG",
        {
          message,
        },
      );
      expect(network.listAllocations()).toEqual([]);
    };
    for (const [, value] of labels) {
      await refused({ instanceId: value }, "instanceId");
      await refused({ instanceName: value }, "instanceName");
    }
    for (const [, value] of rates) {
      await refused({ download: value }, "download");
      await refused({ upload: value }, "upload");
      await refused({ upload: { rate: value } }, "upload");
      if (value !== undefined)
        await refused({ upload: { rate: "1mbit", ceil: value } }, "upload.ceil");
    }
    for (const [, wrong, names] of others) await refused(wrong, names);
    expect((await network.createAllocation(REQUEST)).state).toBe("active");
  });

  it("when the id or the name is taken, by a pending guest too", async () => {
    const network = await openForTest();
    const pending = network.createAllocation(REQUEST);
    const code = (name: string) => ({ code: `ERR_FORKNET_${name}` });
    await expect(network.createAllocation({ ...OTHER, instanceId: "vm-1" })).rejects.toMatchObject(
      code("ID_EXISTS"),
    );
    await expect(
      network.createAllocation({ ...OTHER, instanceName: "alpha" }),
    ).rejects.toMatchObject(code("NAME_EXISTS"));
    await pending;
    await expectRefused(
      () => network.createAllocation({ ...OTHER, instanceId: "vm-1" }),
      "ID_EXISTS",
    );
    await expectRefused(
      () => network.createAllocation({ ...OTHER, instanceName: "alpha" }),
      "NAME_EXISTS",
    );
    expect((await network.createAllocation(OTHER)).state).toBe("active");
  });

  it("when the IP, the MAC or the TAP name is another guest's", async () => {
    const network = await openForTest();
    const { ip, mac, tap } = await network.createAllocation(REQUEST);
    await expectRefused(() => network.createAllocation({ ...OTHER, ip }), "ADDRESS_IN_USE");
    await expectRefused(() => network.createAllocation({ ...OTHER, mac }), "ADDRESS_IN_USE");
    await expectRefused(
      () => network.createAllocation({ ...OTHER, tapName: tap }),
      "ADDRESS_IN_USE",
    );
    await expectRefused(
      () => network.createAllocation({ ...OTHER, mac: "02:00:0a:64:00:01" }),
      "ADDRESS_IN_USE",
    );
    expect(network.listAllocations()).toHaveLength(1);
  });

  it("when the TAP name is a foreign link's, TAP or not", async () => {
    const network = await openForTest();
    makeForeignLink("foreign0");
    onTestFinished(() => deleteLink("foreign0"));
    const { fd, ifindex } = loadAddon().openTap({ name: "foreign1" });
    onTestFinished(() => loadAddon().closeFd(fd));
    for (const tapName of ["foreign0", "foreign1"]) {
      await expectRefused(() => network.createAllocation({ ...REQUEST, tapName }), "CONFLICT", {
        device: tapName,
      });
    }
    expect(linkNamed("foreign1")?.ifindex).toBe(ifindex);
    expect(network.listAllocations()).toEqual([]);
    expect((await network.createAllocation(REQUEST)).state).toBe("active");
  });

  it("when a foreign entry holds its MAC on the bridge", async () => {
    const network = await openForTest();
    const ifindex = makeForeignLink("foreign0");
    onTestFinished(() => deleteLink("foreign0"));
    const master = linkNamed(BRIDGE)?.ifindex as number;
    tellKernel(
      { op: "link.set", ifindex, master },
      { op: "fdb.add", ifindex, mac: 0x02aabbccddee },
    );
    await expectRefused(
      () => network.createAllocation({ ...REQUEST, mac: "02:aa:bb:cc:dd:ee" }),
      "KERNEL",
      {
        errnoName: "EEXIST",
        syscall: "RTM_NEWNEIGH",
      },
    );
    expect(network.listAllocations()).toEqual([]);
  });

  it("when the guarantees would exceed the capacity", async () => {
    const network = await openForTest(
      testOptions({ uploadCapacity: "100mbit", baseLimit: "10mbit" }),
    );
    await network.createAllocation({ ...REQUEST, upload: "80mbit" });
    await expectRefused(
      () => network.createAllocation({ ...OTHER, upload: "21mbit" }),
      "EXHAUSTED",
      {
        message: expect.stringContaining("100mbit") as string,
      },
    );
    // A guest without a limit counts as the base limit.
    await network.createAllocation(OTHER);
    await expectRefused(
      () => network.createAllocation({ instanceId: "c", instanceName: "c", upload: "11mbit" }),
      "EXHAUSTED",
    );
  });
});

it("takes labels of 1 and of 64 characters, and finds them after a restart", async () => {
  const options = testOptions();
  const network = await openForTest(options);
  const longest = `${"aZ9._-".repeat(10)}abcd`;
  await network.createAllocation({
    instanceId: longest,
    instanceName: longest,
    upload: { rate: "8bit", ceil: "9007tbit" },
  });
  await network.close();
  const again = await openForTest(options);
  expect(again.getAllocation(longest)).toMatchObject({
    instanceName: longest,
    state: "active",
    shaping: "shaped",
  });
});

it("an exact wish gets what a warm slot holds", async () => {
  const network = await openForTest(testOptions({ pool: { size: 2 } }));
  await poolFilled(network, 2);
  const { ip, mac, tap } = await network.createAllocation(REQUEST);
  await network.releaseAllocation("vm-1");
  expect(await network.createAllocation({ ...REQUEST, ip, mac, tapName: tap })).toMatchObject({
    ip,
    mac,
    tap,
  });
});

it("refuses unknown and impossible ids in every call", async () => {
  const network = await openForTest();
  for (const [id, code] of [
    ["vm-9", "NOT_FOUND"],
    ["a/b", "CONFIG"],
    [7, "CONFIG"],
  ] as [string, string][]) {
    await expectRefused(() => network.standbyAllocation(id), code);
    await expectRefused(() => network.recreateAllocation(id), code);
    await expectRefused(() => network.updateLimits(id, { download: "1mbit" }), code);
    expect(network.getAllocation(id)).toBeUndefined();
    expect(network.nameExists(id)).toBe(false);
  }
});
