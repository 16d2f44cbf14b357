// What becomes of connections that a clone remembers of its snapshot: masqueraded, the host knows
// nothing of them. They end at once, and no packet leaves the uplink with an address of a guest.

import { writeFileSync } from "node:fs";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import { transportSum, wrongChecksums } from "../support/checksums.js";
import { FROM_CLONE, forkClones, SNAPSHOT } from "../support/clones.js";
import { ethernetFrame, IP_PROTOCOL, ipv4Packet, parseFrame, udpFrame } from "../support/frames.js";
import { ICMP_TYPE, icmpEchoFrame } from "../support/icmp-frames.js";
import { INTERNET_IP, openRawUplink, UPLINK_IP } from "../support/internet.js";
import { openForTest, testOptions } from "../support/network.js";
import { RawTap } from "../support/raw-tap.js";

const FLAGS = { fin: 0x01, syn: 0x02, rst: 0x04, push: 0x08, ack: 0x10 } as const;
const FLAGS_AT = 47;
const CHECKSUM_AT = 50;
const LOOSE = "/proc/sys/net/netfilter/nf_conntrack_tcp_loose";
const TO_INTERNET = { ...FROM_CLONE, destinationIp: INTERNET_IP };
const TCP_HEADER_BYTES = 20;

/** Of a connection that was open when the snapshot was taken. */
function segment(flags: number): Buffer {
  const tcp = Buffer.alloc(TCP_HEADER_BYTES);
  tcp.writeUInt16BE(40_000, 0);
  tcp.writeUInt16BE(443, 2);
  tcp.writeUInt32BE(1000, 4);
  tcp.writeUInt32BE(2000, 8);
  tcp.writeUInt16BE(0x5000 | flags, 12);
  tcp.writeUInt16BE(0xffff, 14);
  const { source, destination, ...ips } = TO_INTERNET;
  const payload = ipv4Packet({ ...ips, protocol: IP_PROTOCOL.tcp, payload: tcp });
  const frame = ethernetFrame({ source, destination, payload });
  frame.writeUInt16BE(transportSum(frame), CHECKSUM_AT);
  return frame;
}

let uplink: RawTap;
let network: Network;
let taps: RawTap[];

beforeEach(async () => {
  uplink = await openRawUplink();
  const nat = { enableForwarding: true };
  network = await openForTest(testOptions({ translate: true, nat }));
  const clones = (await forkClones(network, 2)) as [Allocation, Allocation];
  taps = clones.map(({ tap }) => new RawTap({ tap }));
  onTestFinished(() => {
    for (const tap of taps) tap.close();
  });
});

function setLoose(isLoose: boolean): void {
  writeFileSync(LOOSE, isLoose ? "1" : "0");
  onTestFinished(() => writeFileSync(LOOSE, "1"));
}

/** What leaves the uplink of these frames, before a datagram that is sent behind them. */
async function heardOutside(tap: RawTap, ...frames: Buffer[]): Promise<Buffer[]> {
  tap.send(...frames, udpFrame({ ...TO_INTERNET, destinationPort: 9, payload: "the last" }));
  return uplink.receiveUntil((frame) => frame.includes("the last"));
}

describe("a host that takes up no connection in its middle", () => {
  beforeEach(() => setLoose(false));

  it.each([
    ["data", FLAGS.push | FLAGS.ack],
    ["an acknowledgement", FLAGS.ack],
    ["an end", FLAGS.fin | FLAGS.ack],
    ["an answer to a connection", FLAGS.syn | FLAGS.ack],
  ])("resets each clone's copy that sends %s, and lets nothing of it out", async (_what, flags) => {
    for (const tap of taps) {
      expect(await heardOutside(tap, segment(flags))).toEqual([]);
      const reset = await tap.receive((frame) => frame.readUInt8(23) === IP_PROTOCOL.tcp);
      expect(reset, "a reset").toBeDefined();
      expect(reset?.readUInt8(FLAGS_AT), "flags").toBe(FLAGS.rst);
      const { source, destination, ipv4 } = parseFrame(reset as Buffer);
      expect({ source, destination }).toEqual({
        source: SNAPSHOT.gatewayMac,
        destination: SNAPSHOT.mac,
      });
      expect(ipv4).toMatchObject({ sourceIp: INTERNET_IP, destinationIp: SNAPSHOT.ip });
      expect(wrongChecksums(reset as Buffer)).toEqual([]);
    }
    expect((await network.verify()).differences).toEqual([]);
  });

  it.each([
    ["a reset", () => segment(FLAGS.rst)],
    ["the answer to a ping", () => icmpEchoFrame({ ...TO_INTERNET, type: ICMP_TYPE.echoReply })],
  ])("answers nothing to %s, and does not let it out either", async (_what, frame) => {
    for (const tap of taps) {
      expect(await heardOutside(tap, frame())).toEqual([]);
      expect(tap.drain()).toBe(0);
    }
  });
});

it("a host that takes them up lets them out by its own address, where the other end resets them", async () => {
  setLoose(true);
  for (const tap of taps) {
    const [frame, ...others] = await heardOutside(tap, segment(FLAGS.push | FLAGS.ack));
    expect(others).toEqual([]);
    expect(parseFrame(frame as Buffer).ipv4).toMatchObject({ sourceIp: UPLINK_IP });
    expect(wrongChecksums(frame as Buffer)).toEqual([]);
  }
});
