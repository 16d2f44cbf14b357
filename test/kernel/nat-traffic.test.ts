// What NAT and firewall let through and what not, by traffic: guest, host and a namespace beyond the
// host's uplink.

import { readFileSync, writeFileSync } from "node:fs";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, Network, NetworkOptions } from "../../dist/index.js";
import type { Guest } from "../../dist/stand-in/guest.js";
import { probeTcp, TcpService } from "../../dist/stand-in/tcp-service.js";
import { UdpService } from "../../dist/stand-in/udp-service.js";
import * as frames from "../support/frames.js";
import {
  firewall,
  HOST_IP,
  INTERNET_IP,
  openInternet,
  readRules,
  setForwarding,
  UPLINK,
  UPLINK_IP,
} from "../support/internet.js";
import { indexOf, tellKernel } from "../support/kernel-view.js";
import { BRIDGE, openForTest, testOptions } from "../support/network.js";
import { RawTap } from "../support/raw-tap.js";
import { plugIn } from "../support/traffic-network.js";

const GATEWAY = "10.100.0.1";
const GATEWAY_MAC = "02:00:0a:64:00:01";
const INGRESS = 0xfffffff2;
const BRIDGE_NETFILTER = "/proc/sys/net/bridge/bridge-nf-call-iptables";
/** Long enough for an answer in one machine. */
const SILENCE_MS = 700;
const DROPPED = "ETIMEDOUT";

interface Place {
  network: Network;
  allocation: Allocation;
  guest: Guest;
  internet: Guest;
}

async function openPlace(
  nat: NonNullable<NetworkOptions["nat"]>,
  given: { isRouted?: boolean; isolated?: boolean } = {},
): Promise<Place> {
  const internet = await openInternet(given);
  const network = await openForTest(testOptions({ nat, isolated: given.isolated ?? true }));
  const allocation = await fork(network, "a");
  return { network, allocation, guest: await plugIn(allocation), internet };
}

function fork(network: Network, id: string): Promise<Allocation> {
  return network.createAllocation({ instanceId: id, instanceName: id });
}

function probe(from: Guest, host: string, port: number): Promise<string> {
  return from.probeTcp({ host, port, connectTimeoutMs: SILENCE_MS });
}

/** A port of the host, at every address. */
async function hostPort(): Promise<number> {
  const service = await TcpService.listen({ host: "0.0.0.0", role: "echo" });
  onTestFinished(() => service.close());
  return service.port;
}

async function reachesInternet({ guest, internet }: Place): Promise<string> {
  const { port } = await internet.serveTcp({ role: "echo" });
  return probe(guest, INTERNET_IP, port);
}

const ping = (raw: RawTap, { mac, ip }: Allocation, destinationIp: string) => {
  const way = { source: mac, destination: GATEWAY_MAC, sourceIp: ip, destinationIp };
  raw.send(frames.icmpEchoFrame(way));
  return raw.receive((frame) => {
    const { ipv4, icmp } = frames.parseFrame(frame);
    return icmp?.type === 0 && ipv4?.sourceIp === destinationIp;
  }, SILENCE_MS);
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
    expect(await ping(raw, other, INTERNET_IP)).toBeDefined();
  });

  it("does not without nat, as the internet does not know the guests' addresses", async () => {
    const place = await openPlace(false);
    expect(await reachesInternet(place)).toBe(DROPPED);
  });

  it("goes by the uplink that is named and by no other", async () => {
    const place = await openPlace({ uplink: UPLINK });
    expect(await reachesInternet(place)).toBe("connected");
    await place.network.destroy();
    await place.guest.stop();
    const network = await openForTest(testOptions({ nat: { uplink: "lo" } }));
    const guest = await plugIn(await fork(network, "a"));
    expect(await reachesInternet({ ...place, network, guest })).toBe(DROPPED);
  });

  it("is cut off while its uplink is away, and back with it", async () => {
    const place = await openPlace({ uplink: UPLINK });
    tellKernel({ op: "link.set", ifindex: indexOf(UPLINK), up: false });
    tellKernel({ op: "link.set", ifindex: indexOf(UPLINK), name: "away0" });
    tellKernel({ op: "link.set", ifindex: indexOf("away0"), up: true });
    expect(await reachesInternet(place)).toBe(DROPPED);
    tellKernel({ op: "link.set", ifindex: indexOf("away0"), up: false });
    tellKernel({ op: "link.set", ifindex: indexOf("away0"), name: UPLINK });
    tellKernel({ op: "link.set", ifindex: indexOf(UPLINK), up: true });
    expect(await reachesInternet(place)).toBe("connected");
  });

  it("is not reached from the internet unless the operator publishes a port", async () => {
    const { guest, internet, network } = await openPlace({}, { isRouted: true });
    const { port } = await guest.serveTcp({ role: "echo" });
    const udp = await guest.listenUdp({ echo: true });
    expect(await probe(internet, guest.ip, port)).toBe(DROPPED);
    const asked = { host: guest.ip, port: udp.port, timeoutMs: SILENCE_MS, attempts: 1 };
    expect(await internet.echoUdp(asked)).toBeUndefined();
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
});

describe("the host", () => {
  it("is reached at the gateway's address only", async () => {
    const { guest, allocation, network } = await openPlace({});
    const port = await hostPort();
    expect(await probe(guest, GATEWAY, port)).toBe("connected");
    expect(await probe(guest, UPLINK_IP, port)).toBe(DROPPED);
    expect(await probe(guest, HOST_IP, port)).toBe(DROPPED);
    // What the host begins gets its answers, from whichever address.
    const { port: guestPort } = await guest.serveTcp({ role: "echo" });
    const target = { host: allocation.ip, port: guestPort, connectTimeoutMs: SILENCE_MS };
    expect(await probeTcp({ ...target, localAddress: HOST_IP })).toBe("connected");
    const other = await fork(network, "b");
    const raw = new RawTap({ tap: other.tap });
    onTestFinished(() => raw.close());
    expect(await ping(raw, other, GATEWAY)).toBeDefined();
    expect(await ping(raw, other, HOST_IP)).toBeUndefined();
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
    expect(await probe(guest, HOST_IP, other)).toBe(DROPPED);
    expect(await guest.echoUdp({ host: HOST_IP, port: udp.port })).toBeGreaterThan(0);
    const second = await fork(network, "b");
    const raw = new RawTap({ tap: second.tap });
    onTestFinished(() => raw.close());
    expect(await ping(raw, second, HOST_IP)).toBeDefined();
    raw.close();
    await network.destroy();
    await guest.stop();
    const nat = { allowHost: [HOST_IP] };
    const again = await openForTest(testOptions({ nat }));
    const third = await plugIn(await fork(again, "a"));
    expect(await probe(third, HOST_IP, other)).toBe("connected");
    expect(await probe(third, UPLINK_IP, other)).toBe(DROPPED);
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
    const heard = await atB.receive(isIt, SILENCE_MS);
    expect(heard === undefined).toBe(isolated);
  });
});

/** What drops forwarded packets on a host, and how it is emptied of rules. */
const DROPPING = {
  "iptables (nft), as Docker sets it up": [
    `iptables-nft -P FORWARD DROP
     iptables-nft -N DOCKER-USER
     iptables-nft -A DOCKER-USER -j RETURN
     iptables-nft -A FORWARD -j DOCKER-USER`,
    "iptables-nft -F DOCKER-USER",
    "nft delete table ip filter",
  ],
  "iptables (legacy), as Docker sets it up": [
    `iptables-legacy -P FORWARD DROP
     iptables-legacy -N DOCKER-USER
     iptables-legacy -A DOCKER-USER -j RETURN
     iptables-legacy -A FORWARD -j DOCKER-USER`,
    "iptables-legacy -F DOCKER-USER",
    "iptables-legacy -F; iptables-legacy -X; iptables-legacy -P FORWARD ACCEPT",
  ],
  "iptables, as ufw sets it up": [
    `iptables-nft -P FORWARD DROP
     iptables-nft -N ufw-before-forward
     iptables-nft -N ufw-reject-forward
     iptables-nft -A FORWARD -j ufw-before-forward
     iptables-nft -A FORWARD -j ufw-reject-forward
     iptables-nft -A ufw-before-forward -p icmp -j ACCEPT`,
    "iptables-nft -F FORWARD",
    "nft delete table ip filter",
  ],
  "a chain of nft with policy drop": [
    `nft add table inet filter
     nft 'add chain inet filter forward { type filter hook forward priority 0; policy drop; }'`,
    "nft flush chain inet filter forward",
    "nft delete table inet filter",
  ],
  "a chain of nft that ends in a reject": [
    `nft add table inet filter
     nft 'add chain inet filter forward { type filter hook forward priority 10; policy accept; }'
     nft add rule inet filter forward counter reject with icmpx type admin-prohibited`,
    "nft flush chain inet filter forward; nft add rule inet filter forward drop",
    "nft delete table inet filter",
  ],
} as const;

describe.each(Object.entries(DROPPING))("a host that forwards nothing: %s", (_, commands) => {
  const [setUp, empty, takeDown] = commands;

  it("forwards for the guests, and is as before after destroy", async () => {
    firewall(setUp);
    onTestFinished(() => firewall(takeDown));
    const before = readRules();
    const place = await openPlace({ uplink: UPLINK }, { isRouted: true });
    expect(await reachesInternet(place)).toBe("connected");
    const { network, guest, internet } = place;
    const { port } = await guest.serveTcp({ role: "echo" });
    expect(await probe(internet, guest.ip, port)).not.toBe("connected");
    await network.destroy();
    expect(readRules()).toEqual(before);
  });

  it("forwards again when reconcile has put back what somebody flushed", async () => {
    firewall(setUp);
    onTestFinished(() => firewall(takeDown));
    const place = await openPlace({});
    firewall(empty);
    expect(await reachesInternet(place)).not.toBe("connected");
    const { differences } = await place.network.verify();
    expect(differences.map(({ what }) => what)).toEqual(["nat-accept"]);
    const { actions } = await place.network.reconcile();
    expect(actions).toMatchObject([{ action: "repair", subject: BRIDGE }]);
    expect(await place.network.verify()).toMatchObject({ differences: [] });
    expect(await reachesInternet(place)).toBe("connected");
  });
});

describe("bridge netfilter", () => {
  it.each([0, 1])("bridge-nf-call-iptables %i changes nothing", async (value) => {
    const former = readFileSync(BRIDGE_NETFILTER, "utf8");
    writeFileSync(BRIDGE_NETFILTER, String(value));
    onTestFinished(() => writeFileSync(BRIDGE_NETFILTER, former));
    firewall("iptables-nft -P FORWARD DROP");
    onTestFinished(() => firewall("nft delete table ip filter"));
    const place = await openPlace({}, { isolated: false });
    expect(await reachesInternet(place)).toBe("connected");
    const port = await hostPort();
    expect(await probe(place.guest, GATEWAY, port)).toBe("connected");
    expect(await probe(place.guest, HOST_IP, port)).toBe(DROPPED);
    const peer = await plugIn(await fork(place.network, "b"));
    const service = await peer.serveTcp({ role: "echo" });
    expect(await probe(place.guest, peer.ip, service.port)).toBe("connected");
  });
});
