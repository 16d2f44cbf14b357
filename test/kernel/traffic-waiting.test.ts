// A guest from a warm slot whose own limits have not arrived: the shape lane is held back, and what
// the guest gets meanwhile is measured.

import { expect, it, onTestFinished } from "vitest";
import type { Guest } from "../../dist/stand-in/guest.js";
import { measureTcp } from "../../dist/stand-in/traffic.js";
import { sendUdp, UdpService } from "../../dist/stand-in/udp-service.js";
import { LongFlow } from "../support/long-flow.js";
import { testOptions } from "../support/network.js";
import {
  expectShares,
  forkWarm,
  MBIT,
  openHeld,
  plugIn,
  shareOf,
} from "../support/traffic-network.js";

const GATEWAY = "10.100.0.1";
const SHAPING = "qdisc.tbf,change";
const BASE_MBIT = 10;
const OWN_MBIT = 50;
const OWN = { download: OWN_MBIT * MBIT, upload: { rate: OWN_MBIT * MBIT, ceil: OWN_MBIT * MBIT } };
// The bucket is at most 4/250 s of the rate, and the frame that empties it may be a segmented one
// of 64 KB.
const BUCKET_BITS = (BASE_MBIT * MBIT * 4) / 250 + 8 * 65_536;

async function measureBoth(first: Guest, second: Guest, seconds: number, warmUpSeconds: number) {
  const time = { hostIp: GATEWAY, seconds, warmUpSeconds };
  const [upload, download] = await Promise.all([
    measureTcp({ guest: first, direction: "upload", ...time }),
    measureTcp({ guest: second, direction: "download", ...time }),
  ]);
  return { upload, download };
}

it("holds a waiting guest to the base limit, then gives it its own", async () => {
  const options = testOptions({ pool: { size: 2 }, baseLimit: `${BASE_MBIT}mbit` });
  const { network, hold, letGo } = await openHeld(options, SHAPING);
  hold();
  const first = await forkWarm(network, { instanceId: "a", instanceName: "a", ...OWN });
  const second = await forkWarm(network, { instanceId: "b", instanceName: "b", ...OWN });
  const guests = [await plugIn(first), await plugIn(second)] as const;
  onTestFinished(letGo);

  // From the first byte on: a burst at the start would count.
  for (const [direction, goodput] of Object.entries(await measureBoth(...guests, 3, 0))) {
    const { bytes, seconds } = goodput;
    expect(bytes * 8, direction).toBeLessThanOrEqual(BASE_MBIT * MBIT * seconds + BUCKET_BITS);
    expect(bytes * 8, direction).toBeGreaterThan(BASE_MBIT * MBIT * seconds * 0.8);
  }
  expect([first.shaping, second.shaping]).toEqual(["pending", "pending"]);

  letGo();
  await Promise.all([first.shaped, second.shaped]);
  await expectShares(async () => {
    const { upload, download } = await measureBoth(...guests, 3, 1);
    return {
      upload: shareOf(OWN_MBIT * MBIT, upload),
      download: shareOf(OWN_MBIT * MBIT, download),
    };
  }, 0.05);
});

it("lets a running download go on when its own limit is under the base limit", async () => {
  const ownMbit = 4;
  const { network, hold, letGo } = await openHeld(testOptions({ pool: { size: 1 } }), SHAPING);
  hold();
  const allocation = await forkWarm(network, {
    instanceId: "a",
    instanceName: "a",
    download: ownMbit * MBIT,
  });
  const flow = await LongFlow.start(await plugIn(allocation), GATEWAY, "download");
  onTestFinished(letGo);
  await flow.settle(500);
  letGo();
  await allocation.shaped;
  await expectShares(async () => {
    await flow.settle(1000);
    return { download: shareOf(ownMbit * MBIT, await flow.over(2000)) };
  }, 0.05);
});

it("passes nothing in either direction while `block` waits, then the limits hold", async () => {
  const options = testOptions({ pool: { size: 1 }, unshaped: "block" });
  const { network, hold, letGo } = await openHeld(options, SHAPING);
  hold();
  const allocation = await forkWarm(network, { instanceId: "a", instanceName: "a", ...OWN });
  const guest = await plugIn(allocation);
  onTestFinished(letGo);
  const onHost = await UdpService.listen({ host: GATEWAY, echo: true });
  onTestFinished(() => onHost.close());
  const inGuest = await guest.listenUdp();
  // The guest knows the gateway, so that datagrams and not only ARP requests are refused.
  const gateway = { ip: 0x0a640001, mac: 0x02000a640001 };
  expect(await guest.talk([{ op: "neighbor.set", ifindex: guest.ifindex, ...gateway }])).toEqual([
    null,
  ]);

  const before = network.drops();
  await guest.sendUdp({ host: GATEWAY, port: onHost.port, count: 50 });
  await sendUdp({ host: allocation.ip, port: inGuest.port, count: 30 });
  await expect.poll(() => network.drops().blocked - before.blocked).toBe(50);
  await expect.poll(() => network.drops().gate_blocked - before.gate_blocked).toBe(30);
  expect(onHost.report().datagrams).toBe(0);
  expect((await inGuest.report()).datagrams).toBe(0);

  letGo();
  await allocation.shaped;
  expect(await guest.echoUdp({ host: GATEWAY, port: onHost.port })).toBeGreaterThan(0);
  await sendUdp({ host: allocation.ip, port: inGuest.port, count: 3 });
  await expect.poll(async () => (await inGuest.report()).datagrams).toBe(3);
  await expectShares(async () => {
    const upload = await measureTcp({ guest, hostIp: GATEWAY, direction: "upload", seconds: 2 });
    return { upload: shareOf(OWN_MBIT * MBIT, upload) };
  }, 0.05);
});
