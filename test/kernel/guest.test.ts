// The stand-in guests themselves: a TCP/IP stack behind a TAP, wired to a bridge made by raw
// messages. What forknet does with such a TAP is tested elsewhere; this proves the measuring
// instrument.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { loadAddon } from "../../src/kernel/addon.js";
import type { Netlink } from "../../src/kernel/binding.js";
import type { Message } from "../../src/kernel/messages.js";
import { type Guest, startGuest } from "../../src/stand-in/guest.js";
import { receiveTcp, sendTcp, TcpService } from "../../src/stand-in/tcp-service.js";
import { measureTcp } from "../../src/stand-in/traffic.js";
import { echoUdp, sendUdp, UdpService } from "../../src/stand-in/udp-service.js";
import { ARP_OPERATION, arpFrame, ETHER_TYPE, parseFrame, udpFrame } from "../support/frames.js";
import { RawTap } from "../support/raw-tap.js";

const addon = loadAddon();
const BRIDGE_IP = "10.0.0.1";
const BRIDGE_MAC = "02:00:0a:00:00:01";
const NETWORK = { prefixLength: 24, gateway: BRIDGE_IP };
const A = { tap: "tapa", mac: "02:00:0a:00:00:07", ip: "10.0.0.7", ...NETWORK };
const B = { tap: "tapb", mac: "02:00:0a:00:00:08", ip: "10.0.0.8", ...NETWORK };
const FLOW_BYTES = 20_000_003;

let netlink: Netlink;
let bridge = 0;
const taps: number[] = [];

function send(...messages: Message[]): void {
  expect(netlink.talk(messages)).toEqual(messages.map(() => null));
}

/**
 * A TAP on the bridge, as no VMM has used it: offloads that one asked for stay with a persistent
 * TAP.
 */
function makeTap(name: string): void {
  const { fd, ifindex } = addon.openTap({ name, vnetHdr: true, exclusive: true });
  addon.setTapPersistent(fd, true);
  addon.closeFd(fd);
  taps.push(ifindex);
  send(
    { op: "link.set", ifindex, master: bridge, addressGeneration: "none" },
    { op: "link.set", ifindex, up: true },
  );
}

beforeAll(() => {
  netlink = new addon.Netlink();
  send({
    op: "link.create",
    name: "br0",
    kind: "bridge",
    mac: 0x02000a000001,
    addressGeneration: "none",
  });
  bridge = netlink.link({ name: "br0" })?.ifindex ?? 0;
  send(
    { op: "address.add", ifindex: bridge, ip: 0x0a000001, prefixLength: 24 },
    { op: "link.set", ifindex: bridge, up: true },
  );
  makeTap(A.tap);
  makeTap(B.tap);
});

afterAll(() => {
  for (const ifindex of [...taps, bridge]) netlink.talk([{ op: "link.delete", ifindex }]);
  netlink.close();
});

describe("a pair of guests", () => {
  let guest: Guest;
  let peer: Guest;

  beforeAll(async () => {
    [guest, peer] = await Promise.all([startGuest(A), startGuest(B)]);
  });

  afterAll(async () => {
    await Promise.all([guest.stop(), peer.stop()]);
  });

  it("uploads to the host with every byte intact", async () => {
    const sink = await TcpService.listen({ role: "sink", host: BRIDGE_IP, digest: true });
    const target = { host: BRIDGE_IP, port: sink.port };
    const sent = await guest.sendTcp({ ...target, bytes: FLOW_BYTES, digest: true });
    const received = await sink.nextReport();
    await sink.close();
    expect(received.bytes).toBe(FLOW_BYTES);
    expect(received.digest).toBe(sent.digest);
  });

  it("downloads from the host with every byte intact", async () => {
    const sink = await guest.serveTcp({ role: "sink", digest: true });
    const sent = await sendTcp({ host: A.ip, port: sink.port, bytes: FLOW_BYTES, digest: true });
    const received = await sink.nextReport();
    await sink.close();
    expect(received.bytes).toBe(FLOW_BYTES);
    expect(received.digest).toBe(sent.digest);
  });

  it("is a source for the host, too", async () => {
    const source = await guest.serveTcp({ role: "source", bytes: 100_000 });
    expect((await receiveTcp({ host: A.ip, port: source.port })).bytes).toBe(100_000);
    await source.close();
  });

  it.each(["upload", "download"] as const)(
    "measures the %s of an unlimited guest",
    async (direction) => {
      const goodput = await measureTcp({
        guest,
        hostIp: BRIDGE_IP,
        direction,
        seconds: 1,
        warmUpSeconds: 0.5,
      });
      console.log(
        `${direction} ${(goodput.bitsPerSecond / 1e9).toFixed(2)} Gbit/s over ${goodput.seconds.toFixed(2)} s`,
      );
      expect(goodput.bitsPerSecond).toBeGreaterThan(0);
    },
  );

  it("talks to its peer through the bridge", async () => {
    const echo = await peer.serveTcp({ role: "echo" });
    expect(await guest.probeTcp({ host: B.ip, port: echo.port })).toBe("connected");
    await echo.close();
    expect(await guest.probeTcp({ host: B.ip, port: echo.port })).toBe("ECONNREFUSED");
  });

  it("sends datagrams at a pace, and counts what arrives", async () => {
    const onHost = await UdpService.listen({ host: BRIDGE_IP });
    const target = { host: BRIDGE_IP, port: onHost.port };
    expect(await guest.sendUdp({ ...target, count: 200, perSecond: 2000, sizeBytes: 100 })).toEqual(
      {
        sent: 200,
        refused: 0,
      },
    );
    await expect
      .poll(() => onHost.report())
      .toEqual({ datagrams: 200, bytes: 20_000, sources: { [A.ip]: 200 } });
    await onHost.close();

    const inGuest = await guest.listenUdp();
    await sendUdp({ host: A.ip, port: inGuest.port, count: 3 });
    await expect.poll(async () => (await inGuest.report()).datagrams).toBe(3);
    await inGuest.close();
  });

  it("echoes over UDP, both ways", async () => {
    const onHost = await UdpService.listen({ host: BRIDGE_IP, echo: true });
    expect(await guest.echoUdp({ host: BRIDGE_IP, port: onHost.port })).toBeGreaterThan(0);
    await onHost.close();
    const silence = { port: onHost.port, timeoutMs: 50, attempts: 1 };
    expect(await guest.echoUdp({ host: BRIDGE_IP, ...silence })).toBeUndefined();
    const inGuest = await guest.listenUdp({ echo: true });
    expect(await echoUdp({ host: A.ip, port: inGuest.port })).toBeGreaterThan(0);
    await inGuest.close();
  });

  it("takes another address when it is told to", async () => {
    const address = { ifindex: guest.ifindex, ip: 0x0a000009, prefixLength: 24 };
    expect(await guest.talk([{ op: "address.add", ...address }])).toEqual([null]);
    const onHost = await UdpService.listen({ host: BRIDGE_IP });
    await guest.sendUdp({ host: BRIDGE_IP, port: onHost.port, localAddress: "10.0.0.9" });
    await expect.poll(() => onHost.report().sources).toEqual({ "10.0.0.9": 1 });
    await onHost.close();
    expect(await guest.talk([{ op: "address.delete", ...address }])).toEqual([null]);
  });
});

describe("a guest's life", () => {
  it("refuses a TAP that does not exist, and makes none", async () => {
    await expect(startGuest({ ...A, tap: "tapx" })).rejects.toThrow("There is no TAP named tapx");
    expect(netlink.link({ name: "tapx" })).toBeUndefined();
  });

  it("refuses a TAP that another guest has open", async () => {
    const guest = await startGuest(A);
    onTestFinished(() => guest.stop());
    await expect(startGuest(A)).rejects.toThrow(/EBUSY/);
  });

  it("ends at once, even twice, and refuses what is asked of it later", async () => {
    const guest = await startGuest(A);
    const pending = guest.probeTcp({ host: "10.0.0.99", port: 9 });
    const refused = expect(pending).rejects.toThrow("has ended");
    await Promise.all([guest.stop(), guest.stop()]);
    await guest.stop();
    await refused;
    await guest.unplugged;
    await expect(guest.probeTcp({ host: BRIDGE_IP, port: 9 })).rejects.toThrow("has ended");
    expect(netlink.link({ name: A.tap })?.lowerUp).toBe(false);
  });

  it("notices that its TAP was deleted", async () => {
    makeTap("tapgone");
    const guest = await startGuest({ ...A, tap: "tapgone" });
    onTestFinished(() => guest.stop());
    send({ op: "link.delete", ifindex: taps.pop() ?? 0 });
    await guest.unplugged;
  });

  it("dies with the process that started it", async () => {
    makeTap("taporphan");
    const entry = new URL("../../dist/stand-in/guest.js", import.meta.url).href;
    const options = JSON.stringify({ ...A, tap: "taporphan" });
    const script = `import { startGuest } from ${JSON.stringify(entry)}; await startGuest(${options}); console.log("up");`;
    const parent = spawn(process.execPath, ["--input-type=module", "--eval", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void parent.kill("SIGKILL"));
    await once(parent.stdout, "data");
    expect(netlink.link({ name: "taporphan" })?.lowerUp).toBe(true);
    parent.kill("SIGKILL");
    await expect.poll(() => netlink.link({ name: "taporphan" })?.lowerUp).toBe(false);
  });

  it("works without a virtio header", async () => {
    makeTap("tapplain");
    const guest = await startGuest({ ...A, tap: "tapplain", vnetHdr: false });
    onTestFinished(() => guest.stop());
    const sink = await TcpService.listen({ role: "sink", host: BRIDGE_IP });
    onTestFinished(() => sink.close());
    await guest.sendTcp({ host: BRIDGE_IP, port: sink.port, bytes: 1_000_000 });
    expect((await sink.nextReport()).bytes).toBe(1_000_000);
  });
});

describe("a raw TAP", () => {
  it.each([true, false])("sends and receives hand-made frames (vnetHdr %s)", async (vnetHdr) => {
    const tap = `tapraw${vnetHdr}`;
    makeTap(tap);
    const raw = new RawTap({ tap, vnetHdr });
    onTestFinished(() => raw.close());
    const toHost = { sourceIp: A.ip, destinationIp: BRIDGE_IP };
    raw.send(
      arpFrame({
        operation: ARP_OPERATION.request,
        senderMac: A.mac,
        senderIp: A.ip,
        targetIp: BRIDGE_IP,
      }),
    );
    const reply = await raw.receive((frame) => parseFrame(frame).etherType === ETHER_TYPE.arp);
    expect(reply && parseFrame(reply).arp).toMatchObject({
      operation: ARP_OPERATION.reply,
      senderMac: BRIDGE_MAC,
    });

    const onHost = await UdpService.listen({ host: BRIDGE_IP, echo: true });
    onTestFinished(() => onHost.close());
    const destinationPort = onHost.port;
    raw.send(
      udpFrame({
        source: A.mac,
        destination: BRIDGE_MAC,
        ...toHost,
        destinationPort,
        payload: "by hand",
      }),
    );
    const answer = await raw.receive((frame) => parseFrame(frame).udp !== undefined);
    expect(answer && parseFrame(answer)).toMatchObject({
      source: BRIDGE_MAC,
      destination: A.mac,
      ipv4: { isHeaderIntact: true },
      udp: { sourcePort: destinationPort, destinationPort: 4000, isIntact: true },
    });
    expect(await raw.receive(() => false, 20)).toBeUndefined();
  });

  it("does not exist by being asked for", () => {
    expect(() => new RawTap({ tap: "tapy" })).toThrow("There is no TAP named tapy");
    expect(existsSync("/proc/sys/net/ipv4/conf/tapy")).toBe(false);
  });
});
