// The end of a guest as its traffic meets it, and what the next guest on its address and class
// gets: nothing of it.

import { expect, it, onTestFinished } from "vitest";
import { measureTcp } from "../../dist/stand-in/traffic.js";
import { sendUdp, UdpService } from "../../dist/stand-in/udp-service.js";
import { linkNamed } from "../support/kernel-view.js";
import { openForTest, testOptions } from "../support/network.js";
import { expectShares, MBIT, openHeld, plugIn, shareOf } from "../support/traffic-network.js";

const GATEWAY = "10.100.0.1";
const SLOW_MBIT = 1;
const NEXT_MBIT = 20;

async function hostListener(): Promise<UdpService> {
  const service = await UdpService.listen({ host: GATEWAY });
  onTestFinished(() => service.close());
  return service;
}

it("stops both directions at once, while the TAP is still there and open", async () => {
  const { network, hold, letGo } = await openHeld(testOptions(), "link.deleteGroup");
  const allocation = await network.createAllocation({ instanceId: "a", instanceName: "a" });
  const { ip, tap } = allocation;
  const guest = await plugIn(allocation);
  const onHost = await hostListener();
  const inGuest = await guest.listenUdp();
  const pace = { count: 4000, perSecond: 2000 };
  const flows = Promise.all([
    guest.sendUdp({ host: GATEWAY, port: onHost.port, ...pace }),
    // The host's neighbour entry stays until the TAP goes, so the frames still come to the gate.
    sendUdp({ host: ip, port: inGuest.port, ...pace }),
  ]);
  await expect.poll(() => onHost.report().datagrams).toBeGreaterThan(200);

  hold();
  onTestFinished(letGo);
  const before = network.drops();
  const released = network.releaseAllocation("a");
  const dropped = (reason: "unarmed" | "gate_unarmed") => network.drops()[reason] - before[reason];
  // What was between the guard and the socket arrives meanwhile; it is far from the rest of the flow.
  await expect.poll(() => dropped("unarmed")).toBeGreaterThan(300);
  await expect.poll(() => dropped("gate_unarmed")).toBeGreaterThan(300);
  const stoppedAt = onHost.report().datagrams;
  const stoppedInGuest = (await inGuest.report()).datagrams;
  expect(stoppedAt).toBeLessThan(pace.count);
  await flows;
  expect(linkNamed(tap)?.lowerUp).toBe(true);
  expect(onHost.report().datagrams).toBe(stoppedAt);
  expect((await inGuest.report()).datagrams).toBe(stoppedInGuest);
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
