// traceroute from clones, hop by hop: the errors quote a packet that was translated, and
// masqueraded, and reach the clone with the packet that it sent, byte for byte. The first hop is the
// host; the router behind it and the host that is looked for are played by the test, so that what
// they get is seen, too.

import { writeFileSync } from "node:fs";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Allocation } from "../../dist/index.js";
import { withPendingChecksum, wrongChecksums } from "../support/checksums.js";
import { FROM_CLONE, forkClones, SNAPSHOT } from "../support/clones.js";
import { parseFrame, udpFrame } from "../support/frames.js";
import {
  ICMP_TYPE,
  icmpEchoFrame,
  icmpErrorFrame,
  PORT_UNREACHABLE,
} from "../support/icmp-frames.js";
import { INTERNET_IP, setForwarding, UPLINK_IP } from "../support/internet.js";
import { openForTest, testOptions } from "../support/network.js";
import { BEYOND_IP, RawRouter } from "../support/raw-router.js";
import { RawTap } from "../support/raw-tap.js";

const IP_AT = 14;
const SOURCE_PORT_AT = 34;
const IDENTIFIER_AT = 38;
/** What routers quote at least: the header, and 8 bytes of what is behind it. */
const SHORT_QUOTE_BYTES = 28;
const FULL_TTL = 64;
const ERRORS_LIMIT = "/proc/sys/net/ipv4/icmp_ratelimit";
const TO_BEYOND = { ...FROM_CLONE, destinationIp: BEYOND_IP };
const TO_CLONE = {
  source: SNAPSHOT.gatewayMac,
  destination: SNAPSHOT.mac,
  destinationIp: SNAPSHOT.ip,
};
const EXCEEDED = { type: ICMP_TYPE.timeExceeded };
const REFUSED = { type: ICMP_TYPE.unreachable, code: PORT_UNREACHABLE };

type Probe = (ttl: number) => Buffer;

// Where traceroute begins: a port that nobody listens at.
const udpProbe: Probe = (ttl) =>
  udpFrame({ ...TO_BEYOND, sourcePort: 40_000, destinationPort: 33_434, ttl });
const echoProbe: Probe = (ttl) => icmpEchoFrame({ ...TO_BEYOND, ttl });

/** The error as the clone should get it, about a probe as the hop got it. */
function errorAbout(
  probe: Buffer,
  error: { sourceIp: string; type: number; code?: number; ttl: number },
  quoteBytes?: number,
): Buffer {
  const quote = probe.subarray(IP_AT, quoteBytes && IP_AT + quoteBytes);
  return icmpErrorFrame({ ...TO_CLONE, ...error, quote });
}

/** Without the service, number and flags that the sender of a packet chooses, and their checksum. */
function essence(frame: Buffer): Buffer {
  const copy = Buffer.from(frame);
  copy.fill(0, IP_AT + 1, IP_AT + 2);
  copy.fill(0, IP_AT + 4, IP_AT + 8);
  return copy.fill(0, IP_AT + 10, IP_AT + 12);
}

async function expectArrived(clone: RawTap, expected: Buffer): Promise<void> {
  const frame = await clone.receive(() => true);
  expect(frame, "a frame at the clone").toBeDefined();
  expect(essence(frame as Buffer).toString("hex")).toBe(essence(expected).toString("hex"));
  expect(wrongChecksums(frame as Buffer)).toEqual([]);
}

beforeEach(() => {
  setForwarding(true);
  writeFileSync(ERRORS_LIMIT, "0");
  onTestFinished(() => writeFileSync(ERRORS_LIMIT, "1000"));
});

describe.each([
  { way: "routed", nat: false as const },
  { way: "masqueraded", nat: {} },
])("$way", ({ nat }) => {
  /** Two clones with the same ports and numbers: masqueraded, those of the second change. */
  async function open() {
    const router = await RawRouter.plugIn();
    const network = await openForTest(testOptions({ translate: true, nat }));
    const clones = await forkClones(network, 2);
    const traced = clones.map((clone) => ({ clone, tap: new RawTap({ tap: clone.tap }) }));
    onTestFinished(() => {
      for (const { tap } of traced) tap.close();
    });
    return { router, network, traced };
  }

  /** As it is behind the host: nothing of the inner identity is left in it. */
  async function forwarded(router: RawRouter, clone: Allocation, ttl: number): Promise<Buffer> {
    const frame = await router.forwarded();
    expect(wrongChecksums(frame)).toEqual([]);
    const sourceIp = nat ? UPLINK_IP : clone.ip;
    expect(parseFrame(frame).ipv4).toMatchObject({ sourceIp, ttl });
    return frame;
  }

  it.each([
    ["UDP", udpProbe],
    ["echo", echoProbe],
  ])("%s probes find every hop", async (kind, probe) => {
    const { router, network, traced } = await open();
    const numbers = new Set<number>();
    for (const { clone, tap } of traced) {
      tap.send(probe(1));
      const byHost = { ...EXCEEDED, sourceIp: SNAPSHOT.gateway, ttl: FULL_TTL };
      await expectArrived(tap, errorAbout(probe(1), byHost));

      // The host is a hop for what comes back, too.
      const ttl = FULL_TTL - 1;
      for (const quoteBytes of [undefined, SHORT_QUOTE_BYTES]) {
        tap.send(probe(2));
        const byRouter = { ...EXCEEDED, sourceIp: INTERNET_IP };
        router.refuse(await forwarded(router, clone, 1), byRouter, quoteBytes);
        await expectArrived(tap, errorAbout(probe(1), { ...byRouter, ttl }, quoteBytes));
      }

      tap.send(probe(3));
      const atEnd = await forwarded(router, clone, 2);
      numbers.add(atEnd.readUInt16BE(kind === "UDP" ? SOURCE_PORT_AT : IDENTIFIER_AT));
      if (kind === "UDP") {
        const byEnd = { ...REFUSED, sourceIp: BEYOND_IP };
        router.refuse(atEnd, byEnd);
        await expectArrived(tap, errorAbout(probe(2), { ...byEnd, ttl }));
      } else {
        router.reply(atEnd);
        const reply = { ...TO_CLONE, sourceIp: BEYOND_IP, type: ICMP_TYPE.echoReply, ttl };
        await expectArrived(tap, icmpEchoFrame(reply));
      }
    }
    // Otherwise nothing was proved of a packet whose port or number the host changed as well.
    expect(numbers.size).toBe(nat ? 2 : 1);
    // Each clone got its own answers, and nothing else.
    expect(traced.map(({ tap }) => tap.drain())).toEqual([0, 0]);
    const { untranslatable, gate_foreign, gate_malformed } = network.drops();
    expect([untranslatable, gate_foreign, gate_malformed]).toEqual([0, 0, 0]);
  });

  it("a probe that leaves its checksum to the card comes back as it was, and goes on complete", async () => {
    const { router, traced } = await open();
    for (const { clone, tap } of traced) {
      const byHost = { ...EXCEEDED, sourceIp: SNAPSHOT.gateway, ttl: FULL_TTL };
      tap.sendPending(withPendingChecksum(udpProbe(1)));
      await expectArrived(tap, errorAbout(withPendingChecksum(udpProbe(1)), byHost));

      tap.sendPending(withPendingChecksum(udpProbe(2)));
      const byRouter = { ...EXCEEDED, sourceIp: INTERNET_IP };
      router.refuse(await forwarded(router, clone, 1), byRouter);
      await expectArrived(tap, errorAbout(udpProbe(1), { ...byRouter, ttl: FULL_TTL - 1 }));
    }
  });
});
