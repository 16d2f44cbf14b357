// The internet as a wire: it gets a guest's questions and answers when the test says so, in time or
// when the guest is gone.

import { onTestFinished } from "vitest";
import type { Allocation } from "../../dist/index.js";
import * as frames from "./frames.js";
import { INTERNET, INTERNET_IP, openRawUplink } from "./internet.js";
import { RawTap } from "./raw-tap.js";

const GATEWAY_MAC = "02:00:0a:64:00:01";
const PORT = 4242;

/** What the internet saw of a guest's packet. */
export interface Asked {
  sourceIp: string;
  sourcePort: number;
  hostMac: string;
}

type Asking = Pick<Allocation, "ip" | "mac">;

/** The guest's end of its TAP, until the test has finished. */
export function plug({ tap }: Pick<Allocation, "tap">): RawTap {
  const raw = new RawTap({ tap });
  onTestFinished(() => raw.close());
  return raw;
}

export class SlowInternet {
  readonly #wire: RawTap;

  private constructor(wire: RawTap) {
    this.#wire = wire;
  }

  /** Until the test has finished. */
  static async open(): Promise<SlowInternet> {
    return new SlowInternet(await openRawUplink());
  }

  /** The guest sends a datagram to the internet. */
  async ask(raw: RawTap, { mac, ip }: Asking): Promise<Asked> {
    const way = { source: mac, destination: GATEWAY_MAC, sourceIp: ip };
    raw.send(frames.udpFrame({ ...way, destinationIp: INTERNET_IP, destinationPort: PORT }));
    const isIt = (one: Buffer) => frames.parseFrame(one).udp?.destinationPort === PORT;
    const frame = await this.#wire.receive(isIt);
    const { source, ipv4, udp } = frames.parseFrame(frame as Buffer);
    return {
      sourceIp: ipv4?.sourceIp as string,
      sourcePort: udp?.sourcePort as number,
      hostMac: source,
    };
  }

  /** The question of a guest whose end of the TAP is closed when it is answered, if ever. */
  async question(guest: Asking & Pick<Allocation, "tap">): Promise<Asked> {
    const raw = plug(guest);
    const asked = await this.ask(raw, guest);
    raw.close();
    return asked;
  }

  /** The internet answers, now or late. */
  send({ sourceIp, sourcePort, hostMac }: Asked, payload: string): void {
    this.#wire.send(
      frames.udpFrame({
        source: INTERNET.mac,
        destination: hostMac,
        sourceIp: INTERNET_IP,
        sourcePort: PORT,
        destinationIp: sourceIp,
        destinationPort: sourcePort,
        payload,
      }),
    );
  }

  /** What came to the guest of an answer. */
  answer(raw: RawTap, asked: Asked, payload: string): Promise<Buffer | undefined> {
    this.send(asked, payload);
    return raw.receive((frame) => frame.includes(payload));
  }

  /** Whether a late answer comes to a guest. Its own, which does, was sent behind that. */
  async reaches(guest: Asking & Pick<Allocation, "tap">, asked: Asked): Promise<boolean> {
    const raw = plug(guest);
    this.send(asked, "too late");
    this.send(await this.ask(raw, guest), "its own");
    const heard = await raw.receiveUntil((frame) => frame.includes("its own"));
    raw.close();
    return heard.some((frame) => frame.includes("too late"));
  }
}
