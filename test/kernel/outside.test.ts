// Somebody deletes a TAP, the bridge or the shaper behind the network's back. Every call then works
// or says what is missing, nothing passes unshaped, and opening again mends what can be mended.

import { describe, expect, it } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import { sendUdp } from "../../dist/stand-in/udp-service.js";
import { ARP_OPERATION, arpFrame, parseFrame, udpFrame } from "../support/frames.js";
import { compareKernelStates } from "../support/kernel-state.js";
import {
  classNamed,
  deleteLink,
  filterNames,
  indexOf,
  linkNamed,
  neighborsOf,
  readLeases,
  readNetworkLines,
  tbfOf,
  tellKernel,
} from "../support/kernel-view.js";
import { BRIDGE, expectRefused, openForTest, SHAPER, testOptions } from "../support/network.js";
import { lookBeside } from "../support/patience.js";
import { RawTap } from "../support/raw-tap.js";
import { REQUEST } from "../support/requests.js";

const OTHER = { instanceId: "vm-2", instanceName: "beta", download: "50mbit", upload: "10mbit" };
const GATEWAY_MAC = "02:00:0a:64:00:01";
const CLSACT_PARENT = 0xfffffff1;
const ROOT_PARENT = 0xffffffff;

function sendUpload({ tap, mac, ip, gateway }: Allocation): void {
  using raw = new RawTap({ tap });
  raw.send(
    udpFrame({
      source: mac,
      destination: GATEWAY_MAC,
      sourceIp: ip,
      destinationIp: gateway,
      destinationPort: 9,
    }),
  );
}

/** Whether an ARP request of the guest gets its reply, which takes both ways. */
async function gatewayAnswers(
  { tap, mac, ip, gateway }: Allocation,
  withinMs?: number,
): Promise<boolean> {
  using raw = new RawTap({ tap });
  raw.send(
    arpFrame({ operation: ARP_OPERATION.request, senderMac: mac, senderIp: ip, targetIp: gateway }),
  );
  const reply = await raw.receive(
    (frame) => parseFrame(frame).arp?.operation === ARP_OPERATION.reply,
    withinMs,
  );
  return reply !== undefined;
}

/** Whether a datagram of the host reaches the guest. */
async function hostReaches({ tap, ip }: Allocation, withinMs: number): Promise<boolean> {
  using raw = new RawTap({ tap });
  await sendUdp({ host: ip, port: 9 });
  return (
    (await raw.receive((frame) => parseFrame(frame).udp !== undefined, withinMs)) !== undefined
  );
}

async function twoGuests(network: Network): Promise<[Allocation, Allocation]> {
  return [await network.createAllocation(REQUEST), await network.createAllocation(OTHER)];
}

function expectShaped({ tap, classId, shaping }: Allocation, download: number, rate: number): void {
  expect(shaping).toBe("shaped");
  expect(tbfOf(tap)?.rate).toBe(download / 8);
  expect(classNamed(SHAPER, classId)?.rate).toBe(rate / 8);
}

describe("without its TAP", () => {
  it("a guest is released as ever, and its neighbour entry goes", async () => {
    const network = await openForTest();
    const { tap, ip } = await network.createAllocation(REQUEST);
    deleteLink(tap);
    expect(network.getAllocation("vm-1")?.state).toBe("active");
    await network.releaseAllocation("vm-1");
    expect(neighborsOf(BRIDGE)).toEqual([]);
    expect(readLeases(SHAPER)).toEqual(new Map());
    expect((await network.createAllocation({ ...REQUEST, ip, tapName: tap })).ip).toBe(ip);
  });

  it("a guest goes to standby and comes back", async () => {
    const network = await openForTest();
    const { tap, ip, mac } = await network.createAllocation(REQUEST);
    deleteLink(tap);
    await network.standbyAllocation("vm-1");
    const restored = await network.recreateAllocation("vm-1");
    expect(restored).toMatchObject({ ip, mac });
    expectShaped(restored, 100e6, 20e6);
  });

  it("a guest's limits cannot change, and those it had are still its own", async () => {
    const network = await openForTest();
    const [guest, other] = await twoGuests(network);
    const { tap } = guest;
    deleteLink(tap);
    const wish = { download: "1mbit", upload: "1mbit" };
    await expectRefused(() => network.updateLimits("vm-1", wish), "KERNEL", {
      errnoName: "ENODEV",
      device: tap,
    });
    expect(classNamed(SHAPER, guest.classId)?.rate).toBe(20e6 / 8);
    expectShaped(other, 50e6, 10e6);
    await network.standbyAllocation("vm-1");
    expectShaped(await network.recreateAllocation("vm-1"), 100e6, 20e6);
  });

  it("a guest is not the TAP of the same name that somebody made since", async () => {
    const network = await openForTest();
    const { tap } = await network.createAllocation({ ...REQUEST, tapName: "tap-one" });
    deleteLink(tap);
    tellKernel({ op: "link.create", name: "tap-one", kind: "ifb" });
    const { ifindex } = linkNamed("tap-one") as { ifindex: number };
    await expect(network.updateLimits("vm-1", { download: "1mbit" })).rejects.toMatchObject({
      errnoName: "ENODEV",
    });
    expect(tbfOf("tap-one")).toBeUndefined();
    await network.releaseAllocation("vm-1");
    expect(linkNamed("tap-one")?.ifindex).toBe(ifindex);
    deleteLink("tap-one");
  });
});

describe("without the bridge", () => {
  it("forks and restores are refused and leave nothing; release, standby and destroy work", async () => {
    const before = readNetworkLines();
    const network = await openForTest();
    await twoGuests(network);
    await network.createAllocation({ instanceId: "vm-3", instanceName: "gamma" });
    await network.standbyAllocation("vm-3");
    deleteLink(BRIDGE);
    const message = expect.stringContaining("the bridge is gone") as string;
    const missing = { errnoName: "EINVAL", device: BRIDGE, message };
    const fork = { instanceId: "vm-4", instanceName: "delta" };
    await expectRefused(() => network.createAllocation(fork), "KERNEL", missing);
    await expectRefused(() => network.recreateAllocation("vm-3"), "KERNEL", missing);
    expect(network.getAllocation("vm-4")).toBeUndefined();
    expect(network.getAllocation("vm-3")?.state).toBe("standby");
    await network.updateLimits("vm-1", { download: "7mbit" });
    await network.standbyAllocation("vm-1");
    await network.releaseAllocation("vm-2");
    await network.destroy();
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
  });

  it("opening again makes it anew, and standby guests come back on it", async () => {
    const options = testOptions();
    const first = await openForTest(options);
    const { ip, mac } = await first.createAllocation(REQUEST);
    await first.standbyAllocation("vm-1");
    deleteLink(BRIDGE);
    await first.close();
    const second = await openForTest(options);
    const restored = await second.recreateAllocation("vm-1");
    expect(restored).toMatchObject({ ip, mac });
    expect(linkNamed(restored.tap)).toMatchObject({
      master: indexOf(BRIDGE),
      port: { isolated: true },
    });
    expectShaped(restored, 100e6, 20e6);
  });
});

describe("with other ports than were left", () => {
  it("opening again puts live guests back on a bridge that was deleted", async () => {
    const options = testOptions();
    const first = await openForTest(options);
    const [guest] = await twoGuests(first);
    deleteLink(BRIDGE);
    await first.close();
    const second = await openForTest(options);
    expect(second.listAllocations().map(({ instanceId, state }) => [instanceId, state])).toEqual([
      ["vm-1", "active"],
      ["vm-2", "active"],
    ]);
    expect(linkNamed(guest.tap)).toMatchObject({
      ifindex: guest.ifindex,
      master: indexOf(BRIDGE),
      port: { isolated: true, learning: false, unicastFlood: false },
    });
    expect(await gatewayAnswers(guest)).toBe(true);
  });

  it("opening again isolates a port that somebody opened up, and follows a changed option", async () => {
    const options = testOptions();
    const first = await openForTest(options);
    const { tap, ifindex } = await first.createAllocation(REQUEST);
    await first.close();
    tellKernel({ op: "port.set", ifindex, isolated: false, unicastFlood: true });
    const second = await openForTest(options);
    expect(linkNamed(tap)?.port).toMatchObject({ isolated: true, unicastFlood: false });
    await second.close();
    await openForTest({ ...options, isolated: false });
    expect(linkNamed(tap)?.port).toMatchObject({ isolated: false, unicastFlood: false });
  });
});

describe("without the shaper", () => {
  it("nothing a guest sends passes, forks are refused, release works", async () => {
    const before = readNetworkLines();
    const network = await openForTest();
    const [guest] = await twoGuests(network);
    expect(await gatewayAnswers(guest)).toBe(true);
    deleteLink(SHAPER);
    const answered = await lookBeside(
      (withinMs) => hostReaches(guest, withinMs),
      async (withinMs) => (await gatewayAnswers(guest, withinMs)) || undefined,
    );
    expect(answered).toBeUndefined();
    const missing = { errnoName: "ENODEV", device: SHAPER };
    const fork = { instanceId: "vm-4", instanceName: "delta" };
    await expectRefused(() => network.createAllocation(fork), "KERNEL", missing);
    await expectRefused(() => network.updateLimits("vm-1", { upload: "1mbit" }), "KERNEL", missing);
    expect(tbfOf(guest.tap)?.rate).toBe(100e6 / 8);
    await network.releaseAllocation("vm-1");
    await network.standbyAllocation("vm-2");
    await network.destroy();
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
  });

  it("opening again makes it anew, with every guest's class, and uploads pass it", async () => {
    const options = testOptions();
    const first = await openForTest(options);
    const [guest, other] = await twoGuests(first);
    deleteLink(SHAPER);
    await first.close();
    const second = await openForTest(options);
    for (const was of [guest, other]) {
      const found = second.getAllocation(was.instanceId) as Allocation;
      expect(found).toMatchObject({
        ip: was.ip,
        mac: was.mac,
        tap: was.tap,
        ifindex: was.ifindex,
        classId: was.classId,
      });
      await found.shaped;
    }
    expectShaped(second.getAllocation("vm-1") as Allocation, 100e6, 20e6);
    expectShaped(second.getAllocation("vm-2") as Allocation, 50e6, 10e6);
    sendUpload(guest);
    await expect.poll(() => classNamed(SHAPER, guest.classId)?.stats.packets).toBe(1);
  });

  it("opening again also mends one whose tree was torn out", async () => {
    const options = testOptions();
    const first = await openForTest(options);
    const [guest] = await twoGuests(first);
    tellKernel({ op: "qdisc.delete", ifindex: indexOf(SHAPER), parent: ROOT_PARENT });
    await first.close();
    const second = await openForTest(options);
    await second.getAllocation("vm-1")?.shaped;
    expectShaped(second.getAllocation("vm-1") as Allocation, 100e6, 20e6);
    sendUpload(guest);
    await expect.poll(() => classNamed(SHAPER, guest.classId)?.stats.packets).toBe(1);
  });
});

it("opening again puts guards and a limit back that somebody removed", async () => {
  const options = testOptions();
  const first = await openForTest(options);
  const { tap, ifindex } = await first.createAllocation(REQUEST);
  await first.close();
  tellKernel({ op: "qdisc.delete", ifindex, parent: CLSACT_PARENT });
  tellKernel({ op: "qdisc.delete", ifindex, parent: ROOT_PARENT });
  expect(filterNames(tap).ingress).toEqual([]);
  const second = await openForTest(options);
  await second.getAllocation("vm-1")?.shaped;
  expect(filterNames(tap)).toEqual({ ingress: ["forknet-guard"], egress: ["forknet-gate"] });
  expectShaped(second.getAllocation("vm-1") as Allocation, 100e6, 20e6);
});
