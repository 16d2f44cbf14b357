// Two clones with one identity in memory: what passes between them, the host and the internet, with
// checksums that the receiver verifies. Each case runs with bridge-nf-call-iptables off and on where
// the kernel has that switch, and once where it has none.

import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import type { Guest } from "../../dist/stand-in/guest.js";
import { UdpService } from "../../dist/stand-in/udp-service.js";
import { BRIDGE_NETFILTER, setBridgeNetfilter } from "../support/bridge-netfilter.js";
import { forkClones, SNAPSHOT, wake } from "../support/clones.js";
import { udpFrame } from "../support/frames.js";
import { firewall, INTERNET_IP, openInternet, setForwarding, UPLINK } from "../support/internet.js";
import { BRIDGE, openForTest, testOptions } from "../support/network.js";
import { openOutsidePort } from "../support/outside-port.js";
import { patiently } from "../support/patience.js";
import { answersPing, pingedHop } from "../support/ping.js";
import { RawTap } from "../support/raw-tap.js";
import { expectNoChecksumErrors } from "../support/stack-errors.js";

const SIZES_BYTES = [1, 2, 63, 512, 1471, 1472, 1473, 2959, 8000];
const FLOW_BYTES = 8_000_000;
const NARROW_MTU = 1300;
const CLOSED_PORT = 9;
const ANSWER_MS = patiently(2000);

/** What the host's socket is told after a datagram to a port where nobody listens. */
async function refusal(ip: string, sizeBytes: number): Promise<unknown> {
  const socket = createSocket("udp4");
  try {
    socket.connect(CLOSED_PORT, ip);
    await once(socket, "connect");
    const told = once(socket, "error", { signal: AbortSignal.timeout(ANSWER_MS) });
    socket.send(Buffer.alloc(sizeBytes));
    const [error] = await told;
    return (error as NodeJS.ErrnoException).code;
  } finally {
    socket.close();
  }
}

/** Between the host and the guest, each way by itself. */
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

/** To the internet and back. */
async function expectEchoes(guest: Guest, internet: Guest, seenAs: string): Promise<void> {
  const service = await internet.listenUdp({ echo: true });
  const asked = { host: INTERNET_IP, port: service.port, timeoutMs: ANSWER_MS, attempts: 1 };
  for (const sizeBytes of SIZES_BYTES)
    expect(await guest.echoUdp({ ...asked, sizeBytes }), `${sizeBytes} bytes`).toBeGreaterThan(0);
  expect((await service.report()).sources).toEqual({ [seenAs]: SIZES_BYTES.length });
}

/** Both ways between two stacks; the digests say that every byte is there. */
async function expectFlows(guest: Guest, peer: Guest, host: string): Promise<void> {
  const flow = { bytes: FLOW_BYTES, digest: true };
  const sink = await peer.serveTcp({ role: "sink", digest: true });
  const sent = await guest.sendTcp({ host, port: sink.port, ...flow });
  const arrived = await sink.nextReport();
  expect(arrived).toMatchObject({ bytes: FLOW_BYTES, digest: sent.digest });
  const source = await peer.serveTcp({ role: "source", ...flow });
  const received = await guest.receiveTcp({ host, port: source.port, digest: true });
  expect(received).toMatchObject({ bytes: FLOW_BYTES, digest: sent.digest });
}

function expectNothingDropped(network: Network): void {
  const { untranslatable, gate_malformed, ip, mac } = network.drops();
  expect({ untranslatable, gate_malformed, ip, mac }).toEqual({
    untranslatable: 0,
    gate_malformed: 0,
    ip: 0,
    mac: 0,
  });
}

const ways = BRIDGE_NETFILTER.flatMap((bridgeNetfilter) =>
  [true, false].flatMap((isMasqueraded) =>
    [true, false].map((vnetHdr) => ({
      way: isMasqueraded ? "masqueraded" : "routed",
      checksums: vnetHdr ? "pending, with TSO" : "complete",
      bridgeNetfilter,
      isMasqueraded,
      vnetHdr,
    })),
  ),
);

describe.each(ways)(
  "two clones, $way, checksums $checksums, bridge-nf-call-iptables $bridgeNetfilter",
  ({ isMasqueraded, vnetHdr, bridgeNetfilter }) => {
    it("are reached and reach", async () => {
      setForwarding(true);
      setBridgeNetfilter(bridgeNetfilter);
      // Complete on the uplink in any case: a pending one would hide a wrong one.
      const internet = await openInternet({ isRouted: !isMasqueraded, vnetHdr: false });
      const nat = isMasqueraded ? {} : (false as const);
      const network = await openForTest(testOptions({ translate: true, nat, tap: { vnetHdr } }));
      const clones = await forkClones(network, 2);
      const guests = await Promise.all(clones.map((clone) => wake(clone, { vnetHdr })));
      for (const [i, { ip }] of clones.entries()) {
        const guest = guests[i] as Guest;
        await expectDatagrams(guest, ip);
        for (const size of [56, 8000]) {
          expect(await answersPing(ip, size), "from the host").toBe(true);
          expect(await answersPing(INTERNET_IP, size, guest), "to the internet").toBe(true);
          expect(await refusal(ip, size)).toBe("ECONNREFUSED");
        }
        expect(await pingedHop(INTERNET_IP, 1, guest)).toBe(SNAPSHOT.gateway);
        await expectEchoes(guest, internet, isMasqueraded ? "203.0.113.1" : ip);
        await expectFlows(guest, internet, INTERNET_IP);
      }
      expectNothingDropped(network);
      expectNoChecksumErrors(undefined, internet, ...guests);
    });
  },
);

describe.each(BRIDGE_NETFILTER)("bridge-nf-call-iptables %s", (bridgeNetfilter) => {
  it.each([
    ["routed", false],
    ["masqueraded", true],
  ] as const)(
    "the path's MTU is learned from errors that quote the inner address, %s",
    async (_, isMasqueraded) => {
      setForwarding(true);
      setBridgeNetfilter(bridgeNetfilter);
      const internet = await openInternet({ isRouted: !isMasqueraded, vnetHdr: false });
      execFileSync("ip", ["link", "set", UPLINK, "mtu", String(NARROW_MTU)]);
      const nat = isMasqueraded ? {} : (false as const);
      const network = await openForTest(testOptions({ translate: true, nat }));
      const [clone] = (await forkClones(network, 1)) as [Allocation];
      const guest = await wake(clone);
      await expectFlows(guest, internet, INTERNET_IP);
      expectNoChecksumErrors(undefined, internet, guest);
    },
  );

  it("clones that may reach each other do, by their outer addresses", async () => {
    setForwarding(true);
    setBridgeNetfilter(bridgeNetfilter);
    const network = await openForTest(testOptions({ translate: true, isolated: false }));
    const [first, second] = (await forkClones(network, 2)) as [Allocation, Allocation];
    const [one, other] = [await wake(first), await wake(second)];
    expect(await answersPing(second.ip, 8000, one)).toBe(true);
    await expectFlows(one, other, second.ip);
    expectNothingDropped(network);
    expectNoChecksumErrors(undefined, one, other);
  });

  it("what is bridged to a clone comes by the host's rules only when it is 1", async () => {
    setBridgeNetfilter(bridgeNetfilter);
    firewall(`nft add table ip seen
      nft 'add chain ip seen forward { type filter hook forward priority 0; }'
      nft 'add rule ip seen forward udp dport ${CLOSED_PORT} counter'`);
    onTestFinished(() => firewall("nft delete table ip seen"));
    const network = await openForTest(testOptions({ translate: true }));
    const [clone] = (await forkClones(network, 1)) as [Allocation];
    const outside = openOutsidePort(BRIDGE);
    const tap = new RawTap({ tap: clone.tap });
    onTestFinished(() => tap.close());
    const sender = { source: "02:00:00:00:00:77", sourceIp: "10.100.255.77" };
    const target = { destination: clone.mac, destinationIp: clone.ip };
    outside.send(udpFrame({ ...sender, ...target, destinationPort: CLOSED_PORT }));
    const arrived = (await tap.receive(() => true)) as Buffer;
    expect(arrived).toEqual(
      udpFrame({
        ...sender,
        destination: SNAPSHOT.mac,
        destinationIp: SNAPSHOT.ip,
        destinationPort: CLOSED_PORT,
      }),
    );
    const rules = execFileSync("nft", ["list", "table", "ip", "seen"]).toString();
    const isSeen = bridgeNetfilter === "1" ? 1 : 0;
    expect(rules).toContain(`counter packets ${isSeen} `);
  });
});
