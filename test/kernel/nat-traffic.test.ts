// What NAT and firewall let through and what not, by traffic: guest, host and a namespace beyond the
// host's uplink.

import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Allocation } from "../../dist/index.js";
import { probeTcp } from "../../dist/stand-in/tcp-service.js";
import { sendUdp, UdpService } from "../../dist/stand-in/udp-service.js";
import * as frames from "../support/frames.js";
import { icmpEchoFrame } from "../support/icmp-frames.js";
import {
  firewall,
  HOST_IP,
  INTERNET_IP,
  openRawUplink,
  setForwarding,
  UPLINK,
  UPLINK_IP,
} from "../support/internet.js";
import { indexOf, tellKernel } from "../support/kernel-view.js";
import {
  DROPPED,
  fork,
  GATEWAY,
  hostPort,
  missesInternet,
  openPlace,
  probe,
  probeDropped,
  reachesInternet,
} from "../support/nat-place.js";
import { openForTest, testOptions } from "../support/network.js";
import { lookBeside } from "../support/patience.js";
import { RawTap } from "../support/raw-tap.js";
import { plugIn } from "../support/traffic-network.js";

const GATEWAY_MAC = "02:00:0a:64:00:01";
const INGRESS = 0xfffffff2;

/** Pings them in turn; the addresses that answered when the last one has. */
const pinged = async (raw: RawTap, { mac, ip }: Allocation, ...destinations: string[]) => {
  for (const destinationIp of destinations) {
    const way = { source: mac, destination: GATEWAY_MAC, sourceIp: ip, destinationIp };
    raw.send(icmpEchoFrame(way));
  }
  const answered: (string | undefined)[] = [];
  const last = await raw.receive((frame) => {
    const { ipv4, icmp } = frames.parseFrame(frame);
    if (icmp?.type === 0) answered.push(ipv4?.sourceIp);
    return icmp?.type === 0 && ipv4?.sourceIp === destinations.at(-1);
  });
  expect(last, "the last answer").toBeDefined();
  return answered;
};

beforeEach(() => setForwarding(true));

describe("a guest", () => {
  it("reaches the internet by TCP, UDP and ping, with the uplink's address", async () => {
    const place = await openPlace({});
    expect(await reachesInternet(place)).toBe("connected");
    const { guest, internet, network } = place;
    const service = await internet.listenUdp({ echo: true });
    expect(await guest.echoUdp({ host: INTERNET_IP, port: service.port })).toBeGreaterThan(0);
    expect(Object.keys((await service.report()).sources)).toEqual([UPLINK_IP]);
    const other = await fork(network, "b");
    const raw = new RawTap({ tap: other.tap });
    onTestFinished(() => raw.close());
    expect(await pinged(raw, other, INTERNET_IP)).toEqual([INTERNET_IP]);
  });

  it("does not without nat, as the internet does not know the guests' addresses", async () => {
    const place = await openPlace(false);
    expect(await missesInternet(place)).toBe(DROPPED);
  });

  it("goes by the uplink that is named and by no other", async () => {
    // Routed: a packet that is forwarded without masquerading would be answered.
    const place = await openPlace({ uplink: UPLINK }, { isRouted: true });
    expect(await reachesInternet(place)).toBe("connected");
    await place.network.destroy();
    await place.guest.stop();
    const network = await openForTest(testOptions({ nat: { uplink: "lo" } }));
    const guest = await plugIn(await fork(network, "a"));
    expect(await missesInternet({ ...place, guest })).toBe(DROPPED);
  });

  it("is cut off while its uplink is away, and back with it", async () => {
    const place = await openPlace({ uplink: UPLINK });
    tellKernel({ op: "link.set", ifindex: indexOf(UPLINK), up: false });
    tellKernel({ op: "link.set", ifindex: indexOf(UPLINK), name: "away0" });
    tellKernel({ op: "link.set", ifindex: indexOf("away0"), up: true });
    expect(await missesInternet(place)).toBe(DROPPED);
    tellKernel({ op: "link.set", ifindex: indexOf("away0"), up: false });
    tellKernel({ op: "link.set", ifindex: indexOf("away0"), name: UPLINK });
    tellKernel({ op: "link.set", ifindex: indexOf(UPLINK), up: true });
    expect(await reachesInternet(place)).toBe("connected");
  });

  it("is not reached from the internet unless the operator publishes a port", async () => {
    const { guest, internet, network } = await openPlace({}, { isRouted: true });
    const { port } = await guest.serveTcp({ role: "echo" });
    const udp = await guest.listenUdp({ echo: true });
    const onHost = { host: UPLINK_IP, port: await hostPort() };
    expect(await probeDropped(internet, guest.ip, port, onHost)).toBe(DROPPED);
    const control = await UdpService.listen({ host: UPLINK_IP, echo: true });
    onTestFinished(() => control.close());
    const asked = { host: guest.ip, port: udp.port, attempts: 1 };
    const answered = await lookBeside(
      async (timeoutMs) =>
        (await internet.echoUdp({ ...asked, ...onHost, port: control.port, timeoutMs })) !==
        undefined,
      (timeoutMs) => internet.echoUdp({ ...asked, timeoutMs }),
    );
    expect(answered).toBeUndefined();
    firewall(`nft add table ip publish
      nft 'add chain ip publish pre { type nat hook prerouting priority dstnat; }'
      nft add rule ip publish pre ip daddr ${UPLINK_IP} tcp dport 8080 dnat to ${guest.ip}:${port}`);
    onTestFinished(() => firewall("nft delete table ip publish"));
    expect(await probe(internet, UPLINK_IP, 8080)).toBe("connected");
    await network.destroy();
    // Control: nothing but the firewall was in the way.
    const open = await openForTest(testOptions());
    const again = await plugIn(await fork(open, "c"));
    const bare = await again.serveTcp({ role: "echo" });
    expect(await probe(internet, again.ip, bare.port)).toBe("connected");
  });

  it("sends nothing on that conntrack finds invalid", async () => {
    const wire = await openRawUplink();
    const network = await openForTest(testOptions({ nat: {} }));
    const { tap, mac, ip } = await fork(network, "a");
    const raw = new RawTap({ tap });
    onTestFinished(() => raw.close());
    const way = { source: mac, destination: GATEWAY_MAC, sourceIp: ip };
    const datagram = (destinationPort: number) =>
      frames.udpFrame({ ...way, destinationIp: INTERNET_IP, destinationPort });
    const damaged = datagram(4242);
    damaged.writeUInt8(damaged.readUInt8(damaged.length - 1) ^ 1, damaged.length - 1);
    raw.send(damaged, datagram(4243));
    const seen: unknown[] = [];
    await wire.receive((frame) => {
      const { ipv4, udp } = frames.parseFrame(frame);
      if (udp) seen.push([ipv4?.sourceIp, udp.destinationPort]);
      return udp?.destinationPort === 4243;
    });
    expect(seen).toEqual([[UPLINK_IP, 4243]]);
  });
});

describe("the host", () => {
  it("is reached at the gateway's address only", async () => {
    const { guest, allocation, network } = await openPlace({});
    const port = await hostPort();
    expect(await probe(guest, GATEWAY, port)).toBe("connected");
    expect(await probeDropped(guest, UPLINK_IP, port)).toBe(DROPPED);
    expect(await probeDropped(guest, HOST_IP, port)).toBe(DROPPED);
    // What the host begins gets its answers, from whichever address.
    const { port: guestPort } = await guest.serveTcp({ role: "echo" });
    const target = { host: allocation.ip, port: guestPort };
    expect(await probeTcp({ ...target, localAddress: HOST_IP })).toBe("connected");
    const other = await fork(network, "b");
    const raw = new RawTap({ tap: other.tap });
    onTestFinished(() => raw.close());
    expect(await pinged(raw, other, HOST_IP, GATEWAY)).toEqual([GATEWAY]);
  });

  it("is reached where allowHost says, and nowhere else", async () => {
    const port = await hostPort();
    const other = await hostPort();
    const allowHost = [`tcp:${port}`, "udp:5000-5100", "icmp"];
    const { guest, network } = await openPlace({ allowHost });
    const udp = await UdpService.listen({ host: HOST_IP, port: 5050, echo: true });
    onTestFinished(() => udp.close());
    expect(await probe(guest, HOST_IP, port)).toBe("connected");
    expect(await probe(guest, UPLINK_IP, port)).toBe("connected");
    expect(await probeDropped(guest, HOST_IP, other)).toBe(DROPPED);
    expect(await guest.echoUdp({ host: HOST_IP, port: udp.port })).toBeGreaterThan(0);
    const second = await fork(network, "b");
    const raw = new RawTap({ tap: second.tap });
    onTestFinished(() => raw.close());
    expect(await pinged(raw, second, HOST_IP)).toEqual([HOST_IP]);
    raw.close();
    await network.destroy();
    await guest.stop();
    const nat = { allowHost: [HOST_IP] };
    const again = await openForTest(testOptions({ nat }));
    const third = await plugIn(await fork(again, "a"));
    expect(await probe(third, HOST_IP, other)).toBe("connected");
    expect(await probeDropped(third, UPLINK_IP, other)).toBe(DROPPED);
  });
});

describe("guests among themselves", () => {
  it.each([true, false])("routed, isolated: %s, also where no guard is", async (isolated) => {
    const { network, allocation: a, guest } = await openPlace({}, { isolated });
    await guest.stop();
    const b = await fork(network, "b");
    const [fromA, atB] = [new RawTap({ tap: a.tap }), new RawTap({ tap: b.tap })];
    onTestFinished(() => {
      fromA.close();
      atB.close();
    });
    tellKernel({ op: "filter.delete", ifindex: a.ifindex, parent: INGRESS, priority: 1 });
    const way = { source: a.mac, destination: GATEWAY_MAC, sourceIp: a.ip };
    fromA.send(frames.udpFrame({ ...way, destinationIp: b.ip, destinationPort: 4242 }));
    const isIt = (frame: Buffer) => frames.parseFrame(frame).udp?.destinationPort === 4242;
    // Sent behind it, and takes the same way to B.
    await sendUdp({ host: b.ip, port: 4343 });
    const isLast = (frame: Buffer) => frames.parseFrame(frame).udp?.destinationPort === 4343;
    const heard = await atB.receiveUntil(isLast);
    expect(heard.some(isIt)).toBe(!isolated);
  });
});
