// The hand-made frames of the kernel tests: checked against bytes that were worked out elsewhere,
// and read back.

import { describe, expect, it } from "vitest";
import {
  ARP_OPERATION,
  arpFrame,
  BPDU_MAC,
  BROADCAST_MAC,
  bpduFrame,
  ETHER_TYPE,
  internetChecksum,
  ipv4Packet,
  ipv6Frame,
  parseFrame,
  udpFrame,
} from "../support/frames.js";
import { icmpEchoFrame } from "../support/icmp-frames.js";

const GUEST = { source: "02:00:0a:00:00:07", sourceIp: "10.0.0.7" };
const GATEWAY = { destination: "02:00:0a:00:00:01", destinationIp: "10.0.0.1" };

describe("checksums", () => {
  it("gives the example of RFC 1071", () => {
    expect(internetChecksum(Buffer.from("0001f203f4f5f6f7", "hex"))).toBe(~0xddf2 & 0xffff);
  });

  it("pads an odd byte with zero", () => {
    expect(internetChecksum(Buffer.from([0x12]))).toBe(~0x1200 & 0xffff);
  });

  it("gives the well-known header of 192.168.0.1 to 192.168.0.199", () => {
    const packet = ipv4Packet({
      sourceIp: "192.168.0.1",
      destinationIp: "192.168.0.199",
      protocol: 17,
      payload: Buffer.alloc(95),
    });
    // The textbook example has DF set (0x4000) and checksum 0xb861; without DF the sum is 0x4000
    // less.
    expect(packet.readUInt16BE(10)).toBe(0xb861 + 0x4000);
  });

  it("never sends 0 as a UDP checksum, which would mean that there is none", () => {
    const sent = Array.from({ length: 65_536 }, (_, port) => port).find((port) => {
      const frame = udpFrame({
        ...GUEST,
        ...GATEWAY,
        sourcePort: port,
        destinationPort: 9,
        payload: "",
      });
      return frame.readUInt16BE(14 + 20 + 6) === 0xffff;
    });
    expect(sent).toBeDefined();
  });
});

describe("frames", () => {
  it("reads its own UDP frame, tag included", () => {
    const parsed = parseFrame(
      udpFrame({ ...GUEST, ...GATEWAY, destinationPort: 9000, vlan: 42, payload: "odd" }),
    );
    expect(parsed).toMatchObject({
      source: GUEST.source,
      destination: GATEWAY.destination,
      etherType: ETHER_TYPE.ipv4,
      vlan: 42,
      ipv4: {
        sourceIp: GUEST.sourceIp,
        destinationIp: GATEWAY.destinationIp,
        protocol: 17,
        isHeaderIntact: true,
      },
      udp: { sourcePort: 4000, destinationPort: 9000, isIntact: true },
    });
    expect(parsed.udp?.payload.toString()).toBe("odd");
  });

  it("notices a damaged payload and a damaged header", () => {
    const frame = udpFrame({ ...GUEST, ...GATEWAY, destinationPort: 9000 });
    frame[frame.length - 1] = (frame.at(-1) ?? 0) ^ 1;
    expect(parseFrame(frame).udp?.isIntact).toBe(false);
    frame[14 + 8] = 63;
    expect(parseFrame(frame).ipv4?.isHeaderIntact).toBe(false);
  });

  it("ignores the padding of a short frame", () => {
    const frame = udpFrame({ ...GUEST, ...GATEWAY, destinationPort: 9000, payload: "x" });
    const { udp } = parseFrame(Buffer.concat([frame, Buffer.alloc(20)]));
    expect(udp?.payload.toString()).toBe("x");
    expect(udp?.isIntact).toBe(true);
  });

  it("builds ARP as RFC 826 lays it out", () => {
    const frame = arpFrame({
      operation: ARP_OPERATION.request,
      senderMac: GUEST.source,
      senderIp: GUEST.sourceIp,
      targetIp: GATEWAY.destinationIp,
    });
    expect(frame.toString("hex")).toBe(
      "ffffffffffff02000a00000708060001080006040001" +
        "02000a0000070a000007" +
        "0000000000000a000001",
    );
    expect(parseFrame(frame)).toMatchObject({
      destination: BROADCAST_MAC,
      arp: {
        operation: 1,
        senderMac: GUEST.source,
        senderIp: GUEST.sourceIp,
        targetIp: GATEWAY.destinationIp,
      },
    });
  });

  it("builds an ICMP echo whose own checksum holds", () => {
    const frame = icmpEchoFrame({ ...GUEST, ...GATEWAY });
    expect(parseFrame(frame).icmp?.type).toBe(8);
    expect(internetChecksum(frame.subarray(34))).toBe(0);
  });

  it("builds IPv6 and a BPDU", () => {
    expect(parseFrame(ipv6Frame({ ...GUEST, ...GATEWAY })).etherType).toBe(ETHER_TYPE.ipv6);
    const bpdu = bpduFrame(GUEST);
    // 802.3: the type field is the length, LLC and the 35 bytes of a configuration BPDU.
    expect(parseFrame(bpdu)).toMatchObject({ destination: BPDU_MAC, etherType: 3 + 35 });
    expect(bpdu.length).toBe(14 + 3 + 35);
  });
});
