// What a clone leaves to its network card, and what the host leaves to the clone's. Inside a tunnel
// that may be the inner checksum while the outer one is complete, which the kernel's checksum helper
// takes for the other; and one datagram may stand for many.

import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { release } from "node:os";
import { beforeEach, expect, it, onTestFinished } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import type { Guest } from "../../dist/stand-in/guest.js";
import { TcpService } from "../../dist/stand-in/tcp-service.js";
import { completeChecksums } from "../support/card-features.js";
import { withPendingChecksum, wrongChecksums } from "../support/checksums.js";
import { FROM_CLONE, forkClones, SNAPSHOT, wake } from "../support/clones.js";
import { BROADCAST_MAC, parseFrame, udpFrame } from "../support/frames.js";
import { CAN_JUDGE } from "../support/judging.js";
import { deleteLink } from "../support/kernel-view.js";
import { BRIDGE, openForTest, testOptions } from "../support/network.js";
import { openOutsidePort } from "../support/outside-port.js";
import { RawTap } from "../support/raw-tap.js";
import { expectNoChecksumErrors } from "../support/stack-errors.js";

const TUNNEL = "vx0";
const PORT = 4789;
/** A VXLAN header: a VNI is there, and it is 7. */
const HEADER = Buffer.from([8, 0, 0, 0, 0, 0, 7, 0]);
const HEADERS_BYTES = 42;
const FLOW_BYTES = 2_000_000;
const INSIDE = { guest: "198.18.0.2", host: "198.18.0.1" };

let network: Network;
let clone: Allocation;
let other: Allocation;

beforeEach(async () => {
  network = await openForTest(testOptions({ translate: true, isolated: false }));
  [clone, other] = (await forkClones(network, 2)) as [Allocation, Allocation];
});

/** At the guest, or at the test's own end. */
function plugTunnel(guest: Guest | undefined, remote: string, checksum: string): void {
  const address = guest ? INSIDE.guest : INSIDE.host;
  const input = `link add ${TUNNEL} type vxlan id 7 remote ${remote} dstport ${PORT} ${checksum}
    address add ${address}/24 dev ${TUNNEL}
    link set ${TUNNEL} up`;
  const inside = guest ? ["nsenter", `--net=/proc/${guest.pid}/ns/net`] : [];
  execFileSync("env", [...inside, "ip", "-batch", "-"], { input });
  // As Linux does on a virtio card, which offers nothing inside tunnels; a TAP, the stand-in's card, does.
  if (guest) completeChecksums(guest, TUNNEL);
  else onTestFinished(() => deleteLink(TUNNEL));
}

it.each(["udpcsum", "noudpcsum"])(
  "VXLAN between host and clone with %s carries TCP both ways",
  async (checksum) => {
    const guest = await wake(clone);
    plugTunnel(guest, SNAPSHOT.gateway, checksum);
    plugTunnel(undefined, clone.ip, checksum);

    const flow = { bytes: FLOW_BYTES, digest: true };
    const sink = await TcpService.listen({ role: "sink", digest: true });
    onTestFinished(() => sink.close());
    const sent = await guest.sendTcp({ host: INSIDE.host, port: sink.port, ...flow });
    const whole = { bytes: FLOW_BYTES, digest: sent.digest };
    expect(await sink.nextReport()).toMatchObject(whole);
    const source = await TcpService.listen({ role: "source", ...flow });
    onTestFinished(() => source.close());
    const from = { host: INSIDE.host, port: source.port, digest: true };
    expect(await guest.receiveTcp(from)).toMatchObject(whole);

    expectNoChecksumErrors(undefined, guest);
    expect(network.drops().untranslatable).toBe(0);
  },
);

it("datagrams that the card would cut are cut with addresses and checksums of their own", async () => {
  const heard = new RawTap({ tap: other.tap });
  const tap = new RawTap({ tap: clone.tap });
  onTestFinished(() => {
    heard.close();
    tap.close();
  });
  const sizes = [1000, 1000, 500];
  const to = { destination: other.mac, destinationIp: other.ip, destinationPort: 9 };
  const payload = Buffer.alloc(2500, "segment ");
  const whole = withPendingChecksum(udpFrame({ ...FROM_CLONE, ...to, payload }));
  try {
    tap.sendSegments(whole, 1000);
  } catch (error) {
    // TAPs take them since Linux 6.2.
    expect(error).toMatchObject({ code: "EINVAL" });
    expect(release()).toMatch(/^(5\.|6\.[01]\.)/);
    return;
  }
  for (const size of sizes) {
    const frame = await heard.receive((one) => one.includes("segment "));
    expect(wrongChecksums(frame as Buffer)).toEqual([]);
    expect(parseFrame(frame as Buffer)).toMatchObject({
      ipv4: { sourceIp: clone.ip, destinationIp: SNAPSHOT.ip },
      udp: { payload: payload.subarray(0, size) },
    });
  }
});

it("what the host leaves to a clone's card inside a tunnel arrives with both checksums right", async () => {
  const tap = new RawTap({ tap: clone.tap });
  onTestFinished(() => tap.close());
  plugTunnel(undefined, clone.ip, "udpcsum");
  const neighbor = ["lladdr", "02:00:00:00:00:b2", "dev", TUNNEL];
  execFileSync("ip", ["neigh", "replace", INSIDE.guest, ...neighbor]);
  const socket = createSocket("udp4");
  onTestFinished(() => void socket.close());
  socket.send("inside the tunnel", 9, INSIDE.guest);
  const frame = (await tap.receive((one) => one.includes("inside the tunnel"))) as Buffer;
  expect(parseFrame(frame).ipv4).toMatchObject({ destinationIp: SNAPSHOT.ip });
  expect(wrongChecksums(frame)).toEqual([]);
  expect(wrongChecksums(frame.subarray(HEADERS_BYTES + HEADER.length))).toEqual([]);
});

it.runIf(CAN_JUDGE)(
  "a clone that leaves the checksum inside a tunnel to the card is not heard anywhere",
  async () => {
    const inner = udpFrame({
      source: "02:00:00:00:00:b2",
      destination: "02:00:00:00:00:b1",
      sourceIp: INSIDE.guest,
      destinationIp: INSIDE.host,
      destinationPort: 9,
    });
    const outside = openOutsidePort(BRIDGE);
    const heard = new RawTap({ tap: other.tap });
    const tap = new RawTap({ tap: clone.tap });
    onTestFinished(() => {
      heard.close();
      tap.close();
    });
    const ends = { ...FROM_CLONE, destination: BROADCAST_MAC, destinationIp: "192.0.2.1" };
    const tunnelled = (port: number, payload: Buffer) =>
      udpFrame({ ...ends, sourcePort: port, destinationPort: PORT, payload });
    const pending = Buffer.concat([HEADER, withPendingChecksum(inner)]);
    tap.sendPending(tunnelled(1, pending), HEADERS_BYTES + HEADER.length);
    tap.send(tunnelled(2, Buffer.concat([HEADER, inner])));
    const sourcePort = (frame: Buffer) => parseFrame(frame).udp?.sourcePort;
    for (const ear of [outside, heard]) {
      const before = await ear.receiveUntil((frame) => sourcePort(frame) === 2);
      expect(before.filter((frame) => sourcePort(frame) === 1)).toEqual([]);
    }
    expect(network.drops()).toMatchObject({ checksum: 1 });
  },
);
