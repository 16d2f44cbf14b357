// The next router behind the host's uplink, played by a test frame by frame: it takes what the host
// forwards, and sends the errors and answers that the test makes of it.

import { expect } from "vitest";
import { parseFrame } from "./frames.js";
import { ICMP_TYPE, type IcmpErrorOptions, icmpEchoFrame, icmpErrorFrame } from "./icmp-frames.js";
import { INTERNET_IP, openRawUplink, UPLINK } from "./internet.js";
import { indexOf, ipNumber, tellKernel } from "./kernel-view.js";
import type { RawTap } from "./raw-tap.js";

/** A host that is reached through the router. */
export const BEYOND_IP = "198.51.100.7";
const IP_AT = 14;
const IDENTIFIER_AT = 38;

export class RawRouter {
  readonly #tap: RawTap;

  private constructor(tap: RawTap) {
    this.#tap = tap;
  }

  /** Makes the uplink, with the host's route to BEYOND_IP; gone when the test has finished. */
  static async plugIn(): Promise<RawRouter> {
    const tap = await openRawUplink();
    tellKernel({
      op: "route.add",
      destination: ipNumber(BEYOND_IP),
      prefixLength: 32,
      gateway: ipNumber(INTERNET_IP),
      ifindex: indexOf(UPLINK),
    });
    return new RawRouter(tap);
  }

  /** The next packet to BEYOND_IP that the host forwards. */
  async forwarded(): Promise<Buffer> {
    const frame = await this.#tap.receive(
      (one) => parseFrame(one).ipv4?.destinationIp === BEYOND_IP,
    );
    expect(frame, "a packet at the router").toBeDefined();
    return frame as Buffer;
  }

  /** An error about a forwarded packet; quotes `quoteBytes` of it, or all. */
  refuse(
    frame: Buffer,
    error: Pick<IcmpErrorOptions, "sourceIp" | "type" | "code">,
    quoteBytes?: number,
  ): void {
    const quote = frame.subarray(IP_AT, quoteBytes && IP_AT + quoteBytes);
    this.#tap.send(icmpErrorFrame({ ...backTo(frame), ...error, quote }));
  }

  /** BEYOND_IP answers an echo request. */
  reply(frame: Buffer): void {
    const identifier = frame.readUInt16BE(IDENTIFIER_AT);
    const ends = { ...backTo(frame), sourceIp: BEYOND_IP };
    this.#tap.send(icmpEchoFrame({ ...ends, type: ICMP_TYPE.echoReply, identifier }));
  }
}

function backTo(frame: Buffer) {
  const { source, destination, ipv4 } = parseFrame(frame);
  return { source: destination, destination: source, destinationIp: ipv4?.sourceIp ?? "" };
}
