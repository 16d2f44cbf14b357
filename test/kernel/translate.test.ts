// A guest's identity in its memory and another on the bridge: what is refused, what changes it and
// what keeps it. What passes is in translate-traffic.test.ts.

import { expect, it } from "vitest";
import {
  type Allocation,
  type AllocationRequest,
  type GuestIdentity,
  type Network,
  openNetwork,
} from "../../dist/index.js";
import { isRefused, reaches, wake } from "../support/clones.js";
import { deleteLink, readLeases } from "../support/kernel-view.js";
import {
  expectNotOpened,
  expectRefused,
  openForTest,
  SHAPER,
  testOptions,
} from "../support/network.js";
import { openHeld } from "../support/traffic-network.js";

const SNAPSHOT: GuestIdentity = {
  ip: "169.254.77.2",
  mac: "06:00:00:00:00:02",
  gateway: "169.254.77.1",
};
const FULL = { ...SNAPSHOT, gatewayMac: "02:00:a9:fe:4d:01" };

function request(id: string, given: Partial<AllocationRequest> = {}): AllocationRequest {
  return { instanceId: id, instanceName: id, guest: SNAPSHOT, ...given };
}

async function openTranslating(given: Parameters<typeof testOptions>[0] = {}): Promise<Network> {
  return openForTest(testOptions({ translate: true, ...given }));
}

it("gives guests of one snapshot an address each", async () => {
  const network = await openTranslating({ pool: { size: 2 } });
  for (const id of ["a", "b"]) {
    const allocation = await network.createAllocation(request(id));
    await allocation.shaped;
    expect(allocation.guest).toEqual(FULL);
    expect(allocation.ip).not.toBe(SNAPSHOT.ip);
    expect(await reaches(await wake(allocation), allocation)).toBe(true);
  }
  expect(await network.verify()).toMatchObject({ compared: 2, differences: [] });
});

it.each<[what: string, guest: Partial<GuestIdentity>, option: string]>([
  ["an address of the subnet that is another's", { ip: "10.100.0.77" }, "guest.ip"],
  ["the gateway's address", { ip: "10.100.0.1" }, "guest.ip"],
  ["its gateway's address", { ip: SNAPSHOT.gateway }, "guest.gateway"],
  ["a gateway in the subnet that is none", { gateway: "10.100.0.9" }, "guest.gateway"],
  ["a loopback address", { ip: "127.0.0.2" }, "guest.ip"],
  ["a multicast address", { ip: "224.0.0.5" }, "guest.ip"],
  ["an address of nobody", { ip: "0.0.0.2" }, "guest.ip"],
  ["everybody's address", { ip: "255.255.255.255" }, "guest.ip"],
  ["a multicast MAC", { mac: "01:00:5e:00:00:01" }, "guest.mac"],
  ["its gateway's MAC", { mac: FULL.gatewayMac }, "guest.mac"],
  ["a multicast MAC of its gateway", { gatewayMac: "ff:ff:ff:ff:ff:ff" }, "guest.gatewayMac"],
  ["what nobody knows", { colour: "red" } as object, "guest"],
])("refuses a guest with %s", async (_what, wrong, option) => {
  const network = await openTranslating();
  const guest = { ...SNAPSHOT, ...wrong };
  const message = expect.stringContaining(`for ${option}`);
  const fields = option === "guest" ? {} : { message };
  await expectRefused(() => network.createAllocation(request("a", { guest })), "CONFIG", fields);
  await network.createAllocation(request("b"));
  await expectRefused(() => network.updateGuest("b", guest), "CONFIG", fields);
});

it("refuses a guest with the address that another guest has", async () => {
  const network = await openTranslating();
  const { ip } = await network.createAllocation({ instanceId: "other", instanceName: "other" });
  const guest = { ...SNAPSHOT, ip };
  await expectRefused(() => network.createAllocation(request("a", { guest })), "CONFIG");
  await network.createAllocation(request("b"));
  await expectRefused(() => network.updateGuest("b", guest), "CONFIG");
});

it("takes an address of the subnet that is the allocation's own", async () => {
  const network = await openTranslating();
  const guest = { ...SNAPSHOT, ip: "10.100.0.77", gateway: "10.100.0.1" };
  const { guest: found } = await network.createAllocation(request("a", { ip: guest.ip, guest }));
  expect(found).toMatchObject(guest);
});

it("refuses labels that the alias has no room for", async () => {
  const network = await openTranslating();
  const longest = { instanceId: "i".repeat(40), instanceName: "n".repeat(32) };
  await network.createAllocation({ ...longest, guest: SNAPSHOT });
  const longer = { instanceId: "j".repeat(40), instanceName: "m".repeat(33) };
  await expectRefused(() => network.createAllocation({ ...longer, guest: SNAPSHOT }), "CONFIG");
});

it("is not for a network that does not translate", async () => {
  const network = await openForTest();
  await expectRefused(() => network.createAllocation(request("a")), "CONFIG");
  await network.createAllocation({ instanceId: "a", instanceName: "a" });
  await expectRefused(() => network.updateGuest("a", SNAPSHOT), "CONFIG");
  await expectRefused(() => network.updateGuest("a", null), "CONFIG");
});

it("follows a guest that was given another address, and one that was given its own", async () => {
  const network = await openTranslating();
  const allocation = await network.createAllocation(request("a"));
  const second = { ip: "169.254.9.2", mac: "06:00:00:00:00:99", gateway: "169.254.9.1" };
  const guest = await wake(allocation, second);
  expect(await isRefused(guest, allocation, network)).toBe(true);
  await network.updateGuest("a", second);
  expect(allocation.guest).toMatchObject(second);
  expect(await reaches(guest, allocation)).toBe(true);
  expect(await network.verify()).toMatchObject({ differences: [] });
  await guest.stop();

  await network.updateGuest("a", null);
  expect(allocation.guest).toBeUndefined();
  const { ip, mac, gateway, prefixLength } = allocation;
  expect(
    await reaches(await wake(allocation, { ip, mac, gateway, prefixLength }), allocation),
  ).toBe(true);
  expect(await network.verify()).toMatchObject({ differences: [] });
});

it("is not armed again by an update that fails when it was released meanwhile", async () => {
  const options = testOptions({ translate: true });
  const { network, hold, letGo } = await openHeld(options, "link.set");
  const allocation = await network.createAllocation(request("a"));
  const { tap, ifindex } = allocation;
  hold();
  const update = network.updateGuest("a", { ...SNAPSHOT, ip: "169.254.77.3" });
  await expect.poll(() => allocation.guest?.ip).toBe("169.254.77.3");
  // Then there is nothing that the alias could be written to.
  deleteLink(tap);
  const release = network.releaseAllocation("a");
  letGo();
  await expect(update).rejects.toMatchObject({ errnoName: "ENODEV" });
  await release;
  expect(readLeases(SHAPER).has(ifindex)).toBe(false);
});

it("is kept in standby, where it cannot be changed, and by the restore", async () => {
  const network = await openTranslating();
  await network.createAllocation(request("a"));
  await network.standbyAllocation("a");
  expect(network.getAllocation("a")?.guest).toEqual(FULL);
  await expectRefused(() => network.updateGuest("a", SNAPSHOT), "NOT_FOUND");
  const allocation = await network.recreateAllocation("a");
  expect(allocation.guest).toEqual(FULL);
  expect(await reaches(await wake(allocation), allocation)).toBe(true);
});

it("is kept by the next process, which has to translate as well", async () => {
  const options = testOptions({ translate: true });
  const first = await openForTest(options);
  const { ip } = await first.createAllocation(request("live"));
  await first.createAllocation(request("kept"));
  const guest = await wake(first.getAllocation("live") as Allocation);
  await first.close();
  await expectNotOpened({ ...options, translate: false }, "CONFLICT");

  const second = await openNetwork(options);
  expect(second.getAllocation("live")).toMatchObject({ ip, guest: FULL, shaping: "shaped" });
  expect(await reaches(guest, { ip })).toBe(true);
  await second.releaseAllocation("live");
  await second.standbyAllocation("kept");
  await second.close();
  await expectNotOpened({ ...options, translate: false }, "CONFLICT");

  const third = await openNetwork(options);
  expect(third.getAllocation("kept")).toMatchObject({ guest: FULL, state: "standby" });
  await third.close();
});

it("comes to guests of a network that did not translate, and goes from those that know their own", async () => {
  const options = testOptions();
  const first = await openForTest(options);
  const { ip } = await first.createAllocation({ instanceId: "a", instanceName: "a" });
  await first.close();

  const second = await openNetwork({ ...options, translate: true });
  const allocation = second.getAllocation("a") as Allocation;
  await second.updateGuest("a", SNAPSHOT);
  const guest = await wake(allocation);
  expect(await reaches(guest, { ip })).toBe(true);
  expect((await second.verify()).differences).toEqual([]);
  await guest.stop();
  await second.updateGuest("a", null);
  await second.close();

  const third = await openNetwork(options);
  const { mac, gateway, prefixLength } = allocation;
  const own = await wake(allocation, { ip, mac, gateway, prefixLength });
  expect(await reaches(own, { ip })).toBe(true);
  expect((await third.verify()).differences).toEqual([]);
  await third.close();
});
