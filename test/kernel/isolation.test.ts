// Guests of an isolated network exchange nothing, by no way; the same frames pass where guests are
// not isolated.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import { sendUdp, UdpService } from "../../dist/stand-in/udp-service.js";
import * as frames from "../support/frames.js";
import { indexOf, tellKernel } from "../support/kernel-view.js";
import { DROPPED, probe, probeDropped } from "../support/nat-place.js";
import { BRIDGE, openForTest, testOptions } from "../support/network.js";
import { openOutsidePort } from "../support/outside-port.js";
import { RawTap } from "../support/raw-tap.js";
import { plugIn } from "../support/traffic-network.js";

const GATEWAY = "10.100.0.1";
const GATEWAY_MAC = "02:00:0a:64:00:01";
const OUTSIDE_IP = "192.0.2.1";
const UNKNOWN_MAC = "02:00:0a:64:77:77";
const MULTICAST = { ip: "224.0.0.251", mac: "01:00:5e:00:00:fb" };
const LAST_PORT = 4343;
const IP_FORWARD = "/proc/sys/net/ipv4/ip_forward";

interface Pair {
  network: Network;
  a: Allocation;
  b: Allocation;
  fromA: RawTap;
  atB: RawTap;
}

async function openPair(isolated: boolean): Promise<Pair> {
  writeFileSync(IP_FORWARD, "1");
  onTestFinished(() => writeFileSync(IP_FORWARD, "0"));
  const network = await openForTest(testOptions({ isolated }));
  const a = await network.createAllocation({ instanceId: "a", instanceName: "a" });
  const b = await network.createAllocation({ instanceId: "b", instanceName: "b" });
  const [fromA, atB] = [new RawTap({ tap: a.tap }), new RawTap({ tap: b.tap })];
  onTestFinished(() => {
    fromA.close();
    atB.close();
  });
  return { network, a, b, fromA, atB };
}

/** Every way from A to B that a guest could try, by name. */
function waysTo({ a, b }: Pair): Record<string, Buffer> {
  const from = { source: a.mac, sourceIp: a.ip, destinationPort: 4242 };
  const arp = { operation: frames.ARP_OPERATION.request, senderMac: a.mac, senderIp: a.ip };
  return {
    "the peer's MAC and IP": frames.udpFrame({ ...from, destination: b.mac, destinationIp: b.ip }),
    "the peer's MAC with a foreign IP": frames.udpFrame({
      ...from,
      destination: b.mac,
      destinationIp: OUTSIDE_IP,
    }),
    "the peer's IP to everybody": frames.udpFrame({
      ...from,
      destination: frames.BROADCAST_MAC,
      destinationIp: b.ip,
    }),
    "a broadcast": frames.udpFrame({
      ...from,
      destination: frames.BROADCAST_MAC,
      destinationIp: "255.255.255.255",
    }),
    "a multicast": frames.udpFrame({
      ...from,
      destination: MULTICAST.mac,
      destinationIp: MULTICAST.ip,
    }),
    "an ARP request for the peer": frames.arpFrame({ ...arp, targetIp: b.ip }),
    "an ARP request to the peer's MAC": frames.arpFrame({
      ...arp,
      targetIp: b.ip,
      destination: b.mac,
    }),
    "the peer's IP through the gateway": frames.udpFrame({
      ...from,
      destination: GATEWAY_MAC,
      destinationIp: b.ip,
    }),
  };
}

/**
 * Names of the ways that B received; a routed frame is known by its port, not by its bytes. Behind
 * each, A asks the gateway, whose answer tells that the host has taken A's frames; then the host
 * sends to B.
 */
async function arrivals(pair: Pair): Promise<string[]> {
  const arrived: string[] = [];
  for (const [name, frame] of Object.entries(waysTo(pair))) {
    pair.atB.drain();
    pair.fromA.send(frame);
    await expectAnswered(pair);
    await sendUdp({ host: pair.b.ip, port: LAST_PORT });
    const isLast = (heard: Buffer) => frames.parseFrame(heard).udp?.destinationPort === LAST_PORT;
    const heard = await pair.atB.receiveUntil(isLast);
    if (heard.some((one) => one.equals(frame) || isFromA(one, pair))) arrived.push(name);
  }
  return arrived;
}

/** The gateway answers A's ARP request. */
async function expectAnswered({ a, fromA }: Pair): Promise<void> {
  const operation = frames.ARP_OPERATION.request;
  fromA.drain();
  fromA.send(frames.arpFrame({ operation, senderMac: a.mac, senderIp: a.ip, targetIp: GATEWAY }));
  expect(
    await fromA.receive((frame) => frames.parseFrame(frame).arp?.senderMac === GATEWAY_MAC),
  ).toBeDefined();
}

function isFromA(frame: Buffer, { a }: Pair): boolean {
  const { ipv4, arp } = frames.parseFrame(frame);
  return ipv4?.sourceIp === a.ip || arp?.senderIp === a.ip;
}

describe("two guests", () => {
  it("exchange nothing on an isolated network, although each reaches the host", async () => {
    const pair = await openPair(true);
    expect(await arrivals(pair)).toEqual([]);
    expect(pair.network.drops().peer).toBeGreaterThan(0);
  });

  it("reach each other by all ways where they are not isolated", async () => {
    const pair = await openPair(false);
    expect(await arrivals(pair)).toEqual(Object.keys(waysTo(pair)));
  });

  it("cannot connect on an isolated network even when both know each other's MAC, and can otherwise", async () => {
    for (const isolated of [true, false]) {
      const network = await openForTest(testOptions({ isolated }));
      const [a, b] = await Promise.all(
        ["a", "b"].map((id) => network.createAllocation({ instanceId: id, instanceName: id })),
      );
      const [first, second] = [await plugIn(a as Allocation), await plugIn(b as Allocation)];
      const macOf = ({ mac }: Allocation) => Number.parseInt(mac.replaceAll(":", ""), 16);
      const ipOf = ({ ip }: Allocation) =>
        ip.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
      const knows = (peer: Allocation, ifindex: number) =>
        ({ op: "neighbor.set", ifindex, ip: ipOf(peer), mac: macOf(peer) }) as const;
      await first.talk([knows(b as Allocation, first.ifindex)]);
      await second.talk([knows(a as Allocation, second.ifindex)]);
      const echo = await second.serveTcp({ role: "echo" });
      const ask = isolated ? probeDropped : probe;
      expect(await ask(first, second.ip, echo.port)).toBe(isolated ? DROPPED : "connected");
      await Promise.all([first.stop(), second.stop()]);
      await network.destroy();
    }
  });
});

describe("flooded frames", () => {
  it("of an outside port do not reach a guest, and those for its MAC do", async () => {
    const { b, atB } = await openPair(true);
    const outside = openOutsidePort(BRIDGE);
    const from = {
      source: UNKNOWN_MAC,
      sourceIp: OUTSIDE_IP,
      destinationIp: "10.100.200.200",
      destinationPort: 9,
    };
    for (const destination of ["02:00:0a:64:88:88", frames.BROADCAST_MAC, MULTICAST.mac]) {
      outside.send(frames.udpFrame({ ...from, destination }));
    }
    const own = frames.udpFrame({ ...from, destination: b.mac });
    outside.send(own);
    const heard: Buffer[] = [];
    await atB.receive((frame) => heard.push(frame) > 0 && frame.equals(own));
    expect(heard).toEqual([own]);
  });

  it("of the host for an unknown MAC do not reach a guest", async () => {
    const { b, atB } = await openPair(true);
    const outside = openOutsidePort(BRIDGE);
    const stranger = { ifindex: indexOf(BRIDGE), ip: 0x0a64c8c8 };
    tellKernel({ op: "neighbor.set", ...stranger, mac: 0x02000a648888 });
    onTestFinished(() => tellKernel({ op: "neighbor.delete", ...stranger }));
    atB.drain();
    await sendUdp({ host: "10.100.200.200", port: 4242 });
    const isFlooded = (frame: Buffer) => frames.parseFrame(frame).udp?.destinationPort === 4242;
    // It was flooded: a port that takes floods has it.
    expect(await outside.receive(isFlooded)).toBeDefined();
    await sendUdp({ host: b.ip, port: 4343 });
    const heard: Buffer[] = [];
    const isLast = (frame: Buffer) => frames.parseFrame(frame).udp?.destinationPort === 4343;
    expect(await atB.receive((frame) => heard.push(frame) > 0 && isLast(frame))).toBeDefined();
    expect(heard.filter(isFlooded)).toEqual([]);
  });
});

describe("the gateway", () => {
  it("keeps its MAC while TAPs come and go, and a guest's ARP entry stays right", async () => {
    const network = await openForTest();
    const guest = await plugIn(
      await network.createAllocation({ instanceId: "a", instanceName: "a" }),
    );
    const onHost = await UdpService.listen({ host: GATEWAY, echo: true });
    onTestFinished(() => onHost.close());
    const macNow = () =>
      /link\/ether (\S+)/.exec(
        execFileSync("ip", ["link", "show", BRIDGE], { encoding: "utf8" }),
      )?.[1];
    const echo = () => guest.echoUdp({ host: GATEWAY, port: onHost.port });
    expect(macNow()).toBe(GATEWAY_MAC);
    expect(await echo()).toBeGreaterThan(0);
    // As after a restore: the guest never asks again.
    const gateway = { ifindex: guest.ifindex, ip: 0x0a640001, mac: 0x02000a640001 };
    expect(await guest.talk([{ op: "neighbor.set", ...gateway }])).toEqual([null]);
    for (let round = 0; round < 3; round++) {
      const { ifindex } = await network.createAllocation({
        instanceId: "low",
        instanceName: "low",
      });
      // Lower than every other port's: a bridge without a MAC of its own would take it.
      tellKernel({ op: "link.set", ifindex, mac: round + 1 });
      expect(macNow()).toBe(GATEWAY_MAC);
      expect(await echo()).toBeGreaterThan(0);
      await network.releaseAllocation("low");
      expect(macNow()).toBe(GATEWAY_MAC);
      expect(await echo()).toBeGreaterThan(0);
    }
  });
});
