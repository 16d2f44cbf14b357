// statistics(): traffic of known size is counted to the byte, both ways; what a full queue or the
// guard drops is told; a guest on a used class starts at 0; many guests are read at once.

import { release } from "node:os";
import { expect, it, onTestFinished } from "vitest";
import type { Allocation, GuestStatistics, Network } from "../../dist/index.js";
import { sendUdp, UdpService } from "../../dist/stand-in/udp-service.js";
import { needsMirred } from "../../src/plans/programs.js";
import { udpFrame } from "../support/frames.js";
import { indexOf, tellKernel } from "../support/kernel-view.js";
import { openForTest, poolFilled, testOptions } from "../support/network.js";
import { RawTap } from "../support/raw-tap.js";
import { REQUEST } from "../support/requests.js";

const GATEWAY_MAC = "02:00:0a:64:00:01";
const PORT = 9;
/** Ethernet, IPv4 and UDP. */
const HEADER_BYTES = 42;
const TBF_ROOT = 0xffffffff;
const NONE = { bytes: 0, packets: 0, drops: 0, overlimits: 0, backlogBytes: 0 };

function plug({ tap }: Allocation): RawTap {
  const raw = new RawTap({ tap });
  onTestFinished(() => raw.close());
  return raw;
}

/** A UDP frame from a guest to the gateway, with so many bytes of payload. */
function upward({ mac, ip, gateway }: Allocation, payloadBytes: number, source = mac): Buffer {
  return udpFrame({
    source,
    destination: GATEWAY_MAC,
    sourceIp: ip,
    destinationIp: gateway,
    destinationPort: PORT,
    payload: Buffer.alloc(payloadBytes),
  });
}

/** Takes what guests send, so that no ICMP error goes back to them. */
async function listenAtGateway({ gateway }: Allocation): Promise<void> {
  const service = await UdpService.listen({ host: gateway, port: PORT });
  onTestFinished(() => service.close());
}

async function ofGuest(network: Network, instanceId: string): Promise<GuestStatistics> {
  const { guests } = await network.statistics();
  return guests.find((guest) => guest.instanceId === instanceId) as GuestStatistics;
}

it("counts what passed to the byte, each way and for each guest by itself", async () => {
  const network = await openForTest();
  const first = await network.createAllocation(REQUEST);
  await network.createAllocation({ instanceId: "vm-2", instanceName: "beta" });
  const raw = plug(first);
  await listenAtGateway(first);
  for (const size of [1, 100, 1458]) raw.send(upward(first, size));
  await sendUdp({ host: first.ip, port: 9, count: 20, sizeBytes: 500 });
  await expect
    .poll(() => ofGuest(network, "vm-1"))
    .toEqual({
      instanceId: "vm-1",
      download: { ...NONE, packets: 20, bytes: 20 * (500 + HEADER_BYTES) },
      upload: { ...NONE, packets: 3, bytes: 1 + 100 + 1458 + 3 * HEADER_BYTES },
      guardDrops: 0,
    });
  const nothing = { instanceId: "vm-2", download: NONE, upload: NONE, guardDrops: 0 };
  expect(await ofGuest(network, "vm-2")).toEqual(nothing);
});

it("counts what a full queue drops and what waits in it", async () => {
  const network = await openForTest();
  const guest = await network.createAllocation({ ...REQUEST, upload: "1mbit" });
  const raw = plug(guest);
  await listenAtGateway(guest);
  const frame = upward(guest, 1000);
  const sent = 2000;
  for (let i = 0; i < sent; i++) raw.send(frame);
  const during = await ofGuest(network, "vm-1");
  expect(during.upload.backlogBytes).toBeGreaterThan(0);
  expect(during.upload.overlimits).toBeGreaterThan(0);
  await expect.poll(async () => (await ofGuest(network, "vm-1")).upload.backlogBytes).toBe(0);
  const { upload, download } = await ofGuest(network, "vm-1");
  expect(upload.drops).toBeGreaterThan(0);
  expect(upload.packets).toBe(sent - upload.drops);
  expect(upload.bytes).toBe(upload.packets * frame.length);
  expect(download).toEqual(NONE);
});

it("tells what the guard dropped, of each guest and by reason", async () => {
  const network = await openForTest();
  const guest = await network.createAllocation(REQUEST);
  await network.createAllocation({ instanceId: "vm-2", instanceName: "beta" });
  const before = await network.statistics();
  const raw = plug(guest);
  for (let i = 0; i < 7; i++) raw.send(upward(guest, 100, "02:00:00:00:00:99"));
  await expect.poll(() => network.drops().mac - before.guardDrops.mac).toBe(7);
  const after = await network.statistics();
  expect(after.guardDrops.mac - before.guardDrops.mac).toBe(7);
  // With a mirred they are dropped where no guest's own counter is.
  expect(after.guests[0]?.guardDrops).toBe(needsMirred(release()) ? 0 : 7);
  expect(after.guardDrops).toEqual(network.drops());
  expect((await ofGuest(network, "vm-1")).upload).toEqual(NONE);
  expect((await ofGuest(network, "vm-2")).guardDrops).toBe(0);
});

it("starts at 0 for a guest whose class served another, and goes on where a process ended", async () => {
  const options = testOptions();
  const network = await openForTest(options);
  const former = await network.createAllocation(REQUEST);
  plug(former).send(upward(former, 100));
  await expect.poll(async () => (await ofGuest(network, "vm-1")).upload.packets).toBe(1);
  const { classId } = former;
  await network.releaseAllocation("vm-1");
  const next = await network.createAllocation({ instanceId: "vm-2", instanceName: "beta" });
  expect(next.classId).toBe(classId);
  expect((await ofGuest(network, "vm-2")).upload).toMatchObject({ bytes: 0, packets: 0, drops: 0 });
  plug(next).send(upward(next, 100), upward(next, 100));
  await expect.poll(async () => (await ofGuest(network, "vm-2")).upload.packets).toBe(2);
  await network.updateLimits("vm-2", { upload: "30mbit", download: "1mbit" });
  await network.close();
  const again = await openForTest(options);
  expect((await ofGuest(again, "vm-2")).upload.packets).toBe(2);
});

it("tells nothing of guests without a TAP, and 0 of a queue that is not there", async () => {
  const network = await openForTest(testOptions({ pool: { size: 2 } }));
  await poolFilled(network, 2);
  const { shaped, tap } = await network.createAllocation(REQUEST);
  await shaped;
  await network.createAllocation({ instanceId: "vm-2", instanceName: "beta" });
  await network.standbyAllocation("vm-2");
  const { guests, directPackets, readMs } = await network.statistics();
  expect(guests.map(({ instanceId }) => instanceId)).toEqual(["vm-1"]);
  expect(directPackets).toBe(0);
  expect((await network.statistics()).readMs).toBeGreaterThan(readMs);
  tellKernel({ op: "qdisc.delete", ifindex: indexOf(tap), parent: TBF_ROOT });
  expect(await ofGuest(network, "vm-1")).toMatchObject({ download: NONE, upload: NONE });
  await network.close();
  await expect(network.statistics()).rejects.toMatchObject({ code: "ERR_FORKNET_CLOSED" });
});
