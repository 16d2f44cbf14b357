// The guard's rules for a frame of an armed guest that is not translated, said again in plain
// TypeScript. What a virtio header adds is in offload-model.ts.

import { ETHER_TYPE, ipBytes, macBytes } from "./frames.js";

const TAG_TYPES: readonly number[] = [ETHER_TYPE.vlan, 0x88a8];

export interface GuestFields {
  mac: string;
  ip: string;
  gateway: string;
}

export class GuardModel {
  readonly #self: GuestFields;

  constructor(self: GuestFields) {
    this.#self = self;
  }

  /** Why a frame is dropped, or "accepted". */
  verdict(frame: Buffer, isolated: boolean): string {
    const type = frame.readUInt16BE(12);
    if (TAG_TYPES.includes(type)) return "vlan";
    if (frame.compare(macBytes(this.#self.mac), 0, 6, 6, 12) !== 0) return "mac";
    if (type === ETHER_TYPE.ipv4) return this.#ipv4(frame.subarray(14), isolated);
    if (type === ETHER_TYPE.arp) return this.#arp(frame.subarray(14));
    return "protocol";
  }

  #ipv4(packet: Buffer, isolated: boolean): string {
    if (packet.length < 20 || packet.readUInt8(0) >> 4 !== 4 || (packet.readUInt8(0) & 15) < 5)
      return "malformed";
    const { ip, gateway } = this.#self;
    const [source, destination] = [12, 16].map((at) => [...packet.subarray(at, at + 4)].join("."));
    if (source !== ip) return "ip";
    const isInside = destination?.startsWith("10.100.") === true;
    const isPeer = isInside && destination !== gateway && destination !== ip;
    return isolated && isPeer ? "peer" : "accepted";
  }

  #arp(packet: Buffer): string {
    if (packet.length < 28) return "malformed";
    const isEthernetIpv4 = packet.subarray(0, 6).toString("hex") === "000108000604";
    const sender = Buffer.concat([macBytes(this.#self.mac), ipBytes(this.#self.ip)]);
    return isEthernetIpv4 && packet.subarray(8, 18).equals(sender) ? "accepted" : "arp";
  }
}
