// The guests' side, in a process of its own that outlives every driver: it holds the TAPs as VMMs do, sends more than
// any limit allows, both ways and all the time, and counts what arrives. Its parent's side is traffic.ts.

import { createSocket, type Socket } from "node:dgram";
import { readSync, writeSync } from "node:fs";
import type { GuestIdentity } from "../dist/index.js";
import { loadAddon } from "../dist/kernel/addon.js";
import { ipBytes, udpFrame } from "../test/support/frames.js";

export interface PlugOrder {
  id: string;
  tap: string;
  ifindex: number;
  /** By which the gateway knows it, and the gateway's. */
  ip: string;
  gateway: string;
  /** What the guest believes. */
  self: Required<GuestIdentity>;
}

/** What has arrived since the guest got its TAP, in frames. */
export interface Arrived {
  id: string;
  ifindex: number;
  /** At the gateway. */
  uploaded: number;
  /** At the guest. */
  downloaded: number;
}

export interface Counted {
  guests: Arrived[];
  /** Of all guests, also of those that are gone. */
  total: { sent: number; uploaded: number; downloaded: number };
}

export type Order = { plug: PlugOrder } | { count: number } | { end: true };
export type Answer =
  | { plugged: { id: string; ifindex: number } }
  | { refused: { id: string; ifindex: number; reason: string } }
  | { lost: { id: string; ifindex: number; code: string } }
  | { counted: { number: number } & Counted };

/** Twice the highest limit of a campaign. */
const OFFERED_BITS = 4_000_000;
const TICK_MS = 10;
const PAYLOAD_BYTES = 1400;
const PORT = 9000;
const VNET_HEADER_BYTES = 10;
/** Of an IPv4 packet, behind the headers of virtio and Ethernet. */
const DESTINATION_AT = VNET_HEADER_BYTES + 14 + 16;
/** Not more at once, however long this process was kept from running. */
const MOST_FRAMES_A_TICK = 40;
const FRAMES_PER_MS = OFFERED_BITS / 8 / PAYLOAD_BYTES / 1000;

interface Guest extends PlugOrder {
  fd: number;
  frame: Buffer;
  /** Its address as it believes. */
  own: Buffer;
  toGuest: Socket;
  owed: number;
  uploaded: number;
  downloaded: number;
}

const addon = loadAddon();
const netlink = new addon.Netlink();
const guests = new Map<number, Guest>();
const received = Buffer.alloc(65_536 + VNET_HEADER_BYTES);
const payload = Buffer.alloc(PAYLOAD_BYTES, "forknet ");
const total = { sent: 0, uploaded: 0, downloaded: 0 };
let gateway: Socket | undefined;

function answer(what: Answer): void {
  process.send?.(what);
}

/** The one who may open a TAP has been told that it stays until it is open. */
function plug(order: PlugOrder): void {
  const { id, tap, ifindex, self } = order;
  try {
    if (netlink.link({ ifindex })?.name !== tap) throw new Error(`there is no TAP ${tap}`);
    const { fd } = addon.openTap({ name: tap, vnetHdr: true, nonBlocking: true });
    const frame = udpFrame({
      source: self.mac,
      sourceIp: self.ip,
      destination: self.gatewayMac,
      destinationIp: self.gateway,
      destinationPort: PORT,
      payload,
    });
    const toGuest = createSocket("udp4");
    toGuest.on("error", () => {});
    toGuest.connect(PORT, order.ip);
    listen(order.gateway);
    const whole = Buffer.concat([Buffer.alloc(VNET_HEADER_BYTES), frame]);
    const counts = { owed: 0, uploaded: 0, downloaded: 0 };
    guests.set(ifindex, { ...order, fd, frame: whole, own: ipBytes(self.ip), toGuest, ...counts });
    answer({ plugged: { id, ifindex } });
  } catch (error) {
    answer({ refused: { id, ifindex, reason: (error as Error).message } });
  }
}

/** The gateway's address stays for as long as the bridge does, and the bridge is never deleted. */
function listen(ip: string): void {
  if (gateway) return;
  gateway = createSocket({ type: "udp4", reuseAddr: true });
  gateway.on("error", () => {});
  gateway.on("message", (_, { address }) => {
    total.uploaded += 1;
    for (const guest of guests.values()) if (guest.ip === address) guest.uploaded += 1;
  });
  gateway.bind(PORT, ip);
}

function exchange(guest: Guest, elapsedMs: number): void {
  guest.owed = Math.min(guest.owed + elapsedMs * FRAMES_PER_MS, MOST_FRAMES_A_TICK);
  try {
    for (; guest.owed >= 1; guest.owed -= 1) {
      writeSync(guest.fd, guest.frame);
      total.sent += 1;
      guest.toGuest.send(payload, () => {});
    }
    while (readSync(guest.fd, received) > 0) {
      if (!received.subarray(DESTINATION_AT).subarray(0, 4).equals(guest.own)) continue;
      guest.downloaded += 1;
      total.downloaded += 1;
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EAGAIN" || code === "ERR_SOCKET_DGRAM_NOT_CONNECTED") return;
    unplug(guest);
    answer({ lost: { id: guest.id, ifindex: guest.ifindex, code: String(code) } });
  }
}

function unplug(guest: Guest): void {
  guests.delete(guest.ifindex);
  addon.closeFd(guest.fd);
  guest.toGuest.close();
}

function count(number: number): void {
  const all = [...guests.values()].map(({ id, ifindex, uploaded, downloaded }) => {
    return { id, ifindex, uploaded, downloaded };
  });
  answer({ counted: { number, guests: all, total } });
}

let lastMs = performance.now();
setInterval(() => {
  const at = performance.now();
  for (const guest of guests.values()) exchange(guest, at - lastMs);
  lastMs = at;
}, TICK_MS);

process.on("message", (order: Order) => {
  if ("plug" in order) plug(order.plug);
  else if ("count" in order) count(order.count);
  else process.exit(0);
});
process.on("disconnect", () => process.exit(0));
