// The end of a guest as its traffic meets it, and what the next guest on its address and class
// gets: nothing of it.

import { expect, it, onTestFinished } from "vitest";
import { measureTcp } from "../../dist/stand-in/traffic.js";
import { sendUdp, UdpService } from "../../dist/stand-in/udp-service.js";
import type { DropReason } from "../../src/lease/drops.js";
import { indexOf, ipNumber, linkNamed, macNumber, tellKernel } from "../support/kernel-view.js";
import { BRIDGE, openForTest, testOptions } from "../support/network.js";
import { expectShares, MBIT, openHeld, plugIn, shareOf } from "../support/traffic-network.js";

const GATEWAY = "10.100.0.1";
const SLOW_MBIT = 1;
const NEXT_MBIT = 20;

async function hostListener(): Promise<UdpService> {
  const service = await UdpService.listen({ host: GATEWAY });
  onTestFinished(() => service.close());
  return service;
}

/**
 * What has arrived of a flow when nothing more does while a hundred packets are dropped: some were between the guard and
 * the socket.
 */
async function settled(arrived: () => Promise<number>, dropped: () => number): Promise<number> {
  for (;;) {
    const [before, from] = [await arrived(), dropped()];
    await expect.poll(dropped).toBeGreaterThan(from + 100);
    if ((await arrived()) === before) return before;
  }
}

it("stops both directions at once, while the TAP is still there and open", async () => {
  const { network, hold, letGo } = await openHeld(testOptions(), "link.deleteGroup");
  const allocation = await network.createAllocation({ instanceId: "a", instanceName: "a" });
  const { ip, mac, tap } = allocation;
  const guest = await plugIn(allocation);
  const onHost = await hostListener();
  const inGuest = await guest.listenUdp();
  const pace = { count: 8000, perSecond: 2000 };
  const upwards = async () => onHost.report().datagrams;
  const downwards = async () => (await inGuest.report()).datagrams;
  const upload = guest.sendUdp({ host: GATEWAY, port: onHost.port, ...pace });
  await expect.poll(upwards).toBeGreaterThan(200);
  const download = sendUdp({ host: ip, port: inGuest.port, ...pace });
  await expect.poll(downwards).toBeGreaterThan(0);

  hold();
  onTestFinished(letGo);
  const before = network.drops();
  const released = network.releaseAllocation("a");
  const dropped = (reason: DropReason) => network.drops()[reason] - before[reason];
  const stoppedAt = await settled(upwards, () => dropped("unarmed"));
  const stoppedInGuest = await settled(downwards, () => dropped("unarmed"));
  await Promise.all([upload, download]);
  // The release has deleted the host's neighbour entry. Whoever still has one meets the gate.
  const neighbor = { ifindex: indexOf(BRIDGE), ip: ipNumber(ip) };
  tellKernel({ op: "neighbor.set", ...neighbor, mac: macNumber(mac) });
  await sendUdp({ host: ip, port: inGuest.port, count: 10 });
  await expect.poll(() => dropped("gate_unarmed")).toBeGreaterThanOrEqual(10);
  tellKernel({ op: "neighbor.delete", ...neighbor });
  expect(linkNamed(tap)?.lowerUp).toBe(true);
  expect(await upwards()).toBe(stoppedAt);
  expect(await downwards()).toBe(stoppedInGuest);
  letGo();
  await released;
  expect(linkNamed(tap)).toBeUndefined();
});

it("leaves the next guest on its address and class neither frames nor limits", async () => {
  const network = await openForTest();
  const onHost = await hostListener();
  const request = { instanceId: "a", instanceName: "a", ip: "10.100.0.77" };
  const slow = {
    download: SLOW_MBIT * MBIT,
    upload: { rate: SLOW_MBIT * MBIT, ceil: SLOW_MBIT * MBIT },
  };
  const old = await network.createAllocation({ ...request, ...slow });
  const { classId, ifindex } = old;
  const guest = await plugIn(old);
  // 200 KB at 1 mbit: more than a second of queue, which fits into the leaf.
  const sent = { host: GATEWAY, port: onHost.port, count: 200, sizeBytes: 1000 };
  await guest.sendUdp(sent);
  await expect.poll(() => onHost.report().datagrams).toBeGreaterThan(0);
  await network.releaseAllocation("a");
  await guest.stop();
  const cameOut = onHost.report().datagrams;
  expect(cameOut).toBeLessThan(sent.count);

  const fast = {
    download: NEXT_MBIT * MBIT,
    upload: { rate: NEXT_MBIT * MBIT, ceil: NEXT_MBIT * MBIT },
  };
  const next = await network.createAllocation({ ...request, ...fast });
  expect(next.classId).toBe(classId);
  expect(next.ifindex).not.toBe(ifindex);
  const nextGuest = await plugIn(next);
  await expectShares(async () => {
    const time = { guest: nextGuest, hostIp: GATEWAY, seconds: 2 };
    const upload = await measureTcp({ ...time, direction: "upload" });
    const download = await measureTcp({ ...time, direction: "download" });
    return {
      upload: shareOf(NEXT_MBIT * MBIT, upload),
      download: shareOf(NEXT_MBIT * MBIT, download),
    };
  }, 0.05);
  // At the new rate the old queue would have been sent several times over by now.
  expect(onHost.report().datagrams).toBe(cameOut);
});
