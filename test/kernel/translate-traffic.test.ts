// Clones with one identity in memory, all at once: what passes between them, the host and the
// internet, with checksums that the receiver verifies.

import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, GuestIdentity, Network } from "../../dist/index.js";
import { type Guest, startGuest } from "../../dist/stand-in/guest.js";
import { UdpService } from "../../dist/stand-in/udp-service.js";
import {
  ethernetFrame,
  IP_PROTOCOL,
  internetChecksum,
  ipv4Packet,
  parseFrame,
  udpFrame,
} from "../support/frames.js";
import { INTERNET_IP, openInternet, setForwarding, UPLINK } from "../support/internet.js";
import { openForTest, testOptions } from "../support/network.js";
import { RawTap } from "../support/raw-tap.js";

const SNAPSHOT: Required<GuestIdentity> = {
  ip: "169.254.77.2",
  mac: "06:00:00:00:00:02",
  gateway: "169.254.77.1",
  gatewayMac: "06:00:00:00:00:01",
};
const SIZES_BYTES = [1, 2, 63, 512, 1471, 1472, 1473, 2959, 8000];
const FLOW_BYTES = 8_000_000;
const NARROW_MTU = 1300;
const MANY = 30;
const CLOSED_PORT = 9;
const RESET = 0x04;
const LOOSE = "/proc/sys/net/netfilter/nf_conntrack_tcp_loose";

async function forkAll(network: Network, count: number): Promise<Allocation[]> {
  const ids = Array.from({ length: count }, (_, i) => `clone-${i}`);
  return Promise.all(
    ids.map((id) =>
      network.createAllocation({ instanceId: id, instanceName: id, guest: SNAPSHOT }),
    ),
  );
}

async function wake({ tap }: Allocation, vnetHdr: boolean): Promise<Guest> {
  const { gatewayMac: _, ...self } = SNAPSHOT;
  const guest = await startGuest({ tap, ...self, prefixLength: 30, vnetHdr });
  onTestFinished(() => guest.stop());
  return guest;
}

/** Lost packets of a ping from the host. */
function pingLoss(ip: string, sizeBytes: number): string | undefined {
  const size = String(sizeBytes);
  const said = execFileSync("ping", ["-c", "3", "-i", "0.05", "-W", "2", "-s", size, ip]);
  return /(\d+)% packet loss/.exec(said.toString())?.[1];
}

/** What the host's socket is told after a datagram to a port where nobody listens. */
async function refusal(ip: string, sizeBytes: number): Promise<unknown> {
  const socket = createSocket("udp4");
  try {
    socket.connect(CLOSED_PORT, ip);
    await once(socket, "connect");
    const told = once(socket, "error", { signal: AbortSignal.timeout(2000) });
    socket.send(Buffer.alloc(sizeBytes));
    const [error] = await told;
    return (error as NodeJS.ErrnoException).code;
  } finally {
    socket.close();
  }
}

async function expectDatagrams(guest: Guest, ip: string): Promise<void> {
  const [atGuest, atHost] = [await guest.listenUdp(), await UdpService.listen({})];
  const socket = createSocket("udp4");
  try {
    for (const size of SIZES_BYTES) {
      socket.send(Buffer.alloc(size, 1), atGuest.port, ip);
      await guest.sendUdp({ host: SNAPSHOT.gateway, port: atHost.port, sizeBytes: size });
    }
    const bytes = SIZES_BYTES.reduce((sum, size) => sum + size, 0);
    const datagrams = SIZES_BYTES.length;
    const from = (source: string) => ({ datagrams, bytes, sources: { [source]: datagrams } });
    await expect.poll(() => atGuest.report()).toEqual(from(SNAPSHOT.gateway));
    await expect.poll(() => atHost.report()).toEqual(from(ip));
  } finally {
    socket.close();
    await atHost.close();
  }
}

/** Both ways between two stacks; the digests say that every byte is there. */
async function expectFlows(guest: Guest, internet: Guest): Promise<void> {
  const target = { host: INTERNET_IP };
  const flow = { bytes: FLOW_BYTES, digest: true };
  const sink = await internet.serveTcp({ role: "sink", digest: true });
  const sent = await guest.sendTcp({ ...target, port: sink.port, ...flow });
  const arrived = await sink.nextReport();
  expect(arrived).toMatchObject({ bytes: FLOW_BYTES, digest: sent.digest });
  const source = await internet.serveTcp({ role: "source", ...flow });
  const received = await guest.receiveTcp({ ...target, port: source.port, digest: true });
  expect(received).toMatchObject({ bytes: FLOW_BYTES, digest: sent.digest });
}

const ways = [true, false].flatMap((isMasqueraded) =>
  [true, false].map((vnetHdr) => ({
    way: isMasqueraded ? "masqueraded" : "routed",
    checksums: vnetHdr ? "pending, with TSO" : "complete",
    isMasqueraded,
    vnetHdr,
  })),
);

describe.each(ways)("two clones, $way, checksums $checksums", ({ isMasqueraded, vnetHdr }) => {
  it("are reached and reach", { timeout: 60_000 }, async () => {
    setForwarding(true);
    // Complete on the uplink in any case: a pending one would hide a wrong one.
    const internet = await openInternet({ isRouted: !isMasqueraded, vnetHdr: false });
    const nat = isMasqueraded ? {} : (false as const);
    const network = await openForTest(testOptions({ translate: true, nat, tap: { vnetHdr } }));
    const clones = await forkAll(network, 2);
    const guests = await Promise.all(clones.map((clone) => wake(clone, vnetHdr)));
    for (const [i, { ip }] of clones.entries()) {
      const guest = guests[i] as Guest;
      if (!isMasqueraded) {
        await expectDatagrams(guest, ip);
        expect([56, 8000].map((size) => pingLoss(ip, size))).toEqual(["0", "0"]);
        expect(await refusal(ip, 100)).toBe("ECONNREFUSED");
        expect(await refusal(ip, 8000)).toBe("ECONNREFUSED");
      }
      await expectFlows(guest, internet);
    }
    const { sources } = await heardBy(internet, guests);
    const outer = clones.map(({ ip }) => ip).sort();
    expect(Object.keys(sources).sort()).toEqual(isMasqueraded ? ["203.0.113.1"] : outer);
    const drops = network.drops();
    expect([drops.untranslatable, drops.gate_malformed, drops.ip, drops.mac]).toEqual([0, 0, 0, 0]);
  });
});

async function heardBy(internet: Guest, guests: readonly Guest[]) {
  const service = await internet.listenUdp();
  for (const guest of guests) await guest.sendUdp({ host: INTERNET_IP, port: service.port });
  await expect.poll(async () => (await service.report()).datagrams).toBe(guests.length);
  return service.report();
}

it("learns the path's MTU from errors that quote its inner address", async () => {
  setForwarding(true);
  const internet = await openInternet({ isRouted: true, vnetHdr: false });
  execFileSync("ip", ["link", "set", UPLINK, "mtu", String(NARROW_MTU)]);
  const network = await openForTest(testOptions({ translate: true }));
  const [clone] = await forkAll(network, 1);
  const guest = await wake(clone as Allocation, true);
  await expectFlows(guest, internet);
});

it("serves thirty at once on one inner flow", { timeout: 60_000 }, async () => {
  const internet = await openInternet({ vnetHdr: false });
  const nat = { enableForwarding: true };
  const network = await openForTest(testOptions({ translate: true, nat }));
  const { port } = await internet.listenUdp({ echo: true });
  const clones = await forkAll(network, MANY);
  const taps = clones.map(({ tap }) => new RawTap({ tap }));
  onTestFinished(() => {
    for (const tap of taps) tap.close();
  });
  const ends = { sourceIp: SNAPSHOT.ip, destinationIp: INTERNET_IP, destinationPort: port };
  const macs = { source: SNAPSHOT.mac, destination: SNAPSHOT.gatewayMac };
  for (const [i, tap] of taps.entries())
    tap.send(udpFrame({ ...macs, ...ends, payload: `of clone ${i}` }));
  for (const [i, tap] of taps.entries()) {
    const answer = await tap.receive((frame) => frame.includes(`of clone ${i}`));
    expect(answer, `the answer to clone ${i}`).toBeDefined();
    const frame = answer as Buffer;
    expect(frame.subarray(0, 12)).toEqual(
      Buffer.from((SNAPSHOT.mac + SNAPSHOT.gatewayMac).replaceAll(":", ""), "hex"),
    );
    expect(parseFrame(frame).ipv4).toMatchObject({ destinationIp: SNAPSHOT.ip });
    expect(internetChecksum(frame.subarray(14, 34))).toBe(0);
    expect(transportSum(frame)).toBe(0);
  }
});

it("ends a connection of the snapshot at once, where the host knows nothing of it", async () => {
  await openInternet();
  const nat = { enableForwarding: true };
  const network = await openForTest(testOptions({ translate: true, nat }));
  // Otherwise the host takes up a connection in its middle, and its other end resets it.
  writeFileSync(LOOSE, "0");
  onTestFinished(() => writeFileSync(LOOSE, "1"));
  const [clone] = await forkAll(network, 1);
  const tap = new RawTap({ tap: (clone as Allocation).tap });
  onTestFinished(() => tap.close());
  tap.send(acknowledgement());
  const reset = await tap.receive((frame) => frame.readUInt8(23) === IP_PROTOCOL.tcp);
  expect(reset?.readUInt8(47), "flags").toBe(RESET);
  expect(parseFrame(reset as Buffer).ipv4).toMatchObject({
    sourceIp: INTERNET_IP,
    destinationIp: SNAPSHOT.ip,
  });
  expect(transportSum(reset as Buffer)).toBe(0);
  expect((await network.verify()).differences).toEqual([]);
});

/** Of a connection that was open when the snapshot was taken. */
function acknowledgement(): Buffer {
  const tcp = Buffer.alloc(20);
  tcp.writeUInt16BE(40_000, 0);
  tcp.writeUInt16BE(443, 2);
  tcp.writeUInt32BE(1000, 4);
  tcp.writeUInt32BE(2000, 8);
  tcp.writeUInt16BE(0x5010, 12);
  tcp.writeUInt16BE(0xffff, 14);
  const ips = { sourceIp: SNAPSHOT.ip, destinationIp: INTERNET_IP };
  const frame = ethernetFrame({
    source: SNAPSHOT.mac,
    destination: SNAPSHOT.gatewayMac,
    payload: ipv4Packet({ ...ips, protocol: IP_PROTOCOL.tcp, payload: tcp }),
  });
  frame.writeUInt16BE(transportSum(frame), 50);
  return frame;
}

/** What the sum over pseudo header, TCP or UDP and payload leaves: 0 when the checksum is right. */
function transportSum(frame: Buffer): number {
  const end = 14 + frame.readUInt16BE(16);
  const transport = frame.subarray(34, end);
  const tail = [0, frame.readUInt8(23), transport.length >> 8, transport.length & 255];
  return internetChecksum(Buffer.concat([frame.subarray(26, 34), Buffer.from(tail), transport]));
}
