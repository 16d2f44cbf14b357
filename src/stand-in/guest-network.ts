// The network inside a stand-in guest: a namespace of its own whose eth0 is wired to the host's
// TAP. Runs in the guest's process; the commands that use it are left to guest-process.ts.

import { Worker } from "node:worker_threads";
import { parseIpv4, parseMac } from "../identity/ipv4.js";
import { loadAddon } from "../kernel/addon.js";
import type { Refusal } from "../kernel/binding.js";
import type { Message } from "../kernel/messages.js";
import type { GuestOptions } from "./commands.js";

const LOOPBACK_IFINDEX = 1;
const GUEST_DEVICE = "eth0";

/** What the process needs to know about its network. */
export interface GuestNetwork {
  /** Of eth0, inside the guest. */
  ifindex: number;
  /** Sends rtnetlink messages inside the guest. */
  talk(messages: readonly Message[]): (Refusal | null)[];
  /** Resolves when the TAP is gone and no frame passes any more. */
  unplugged: Promise<void>;
}

/**
 * Takes the host's TAP in the current namespace, moves the calling thread into a new one, and
 * brings eth0 up there. Throws when the TAP does not exist, is in use, or the privileges are
 * missing; the caller then exits.
 */
export function plugIn(options: GuestOptions): GuestNetwork {
  const addon = loadAddon();
  const { vnetHdr = true, multiQueue = false } = options;
  const host = new addon.Netlink();
  // Opening an unknown name would make a TAP that belongs to nobody.
  if (!host.link({ name: options.tap })) throw new Error(`There is no TAP named ${options.tap}`);
  host.close();
  const mode = { vnetHdr, offload: vnetHdr, nonBlocking: true };
  const hostTap = addon.openTap({ name: options.tap, multiQueue, ...mode });

  addon.unshareNetwork();
  const eth0 = addon.openTap({ name: GUEST_DEVICE, ...mode });
  const netlink = new addon.Netlink();
  const { ifindex } = eth0;
  const messages: Message[] = [
    { op: "link.set", ifindex: LOOPBACK_IFINDEX, up: true },
    // No IPv6: a guest that stays silent until it is asked lets a test count frames.
    { op: "link.set", ifindex, mac: parseMac(options.mac, "mac"), addressGeneration: "none" },
    {
      op: "address.add",
      ifindex,
      ip: parseIpv4(options.ip, "ip"),
      prefixLength: options.prefixLength,
    },
    { op: "link.set", ifindex, up: true },
  ];
  if (options.gateway !== undefined) {
    const gateway = parseIpv4(options.gateway, "gateway");
    messages.push({ op: "route.add", destination: 0, prefixLength: 0, gateway, ifindex });
  }
  for (const [index, refusal] of netlink.talk(messages).entries()) {
    if (refusal)
      throw new Error(
        `${messages[index]?.op} in the guest: errno ${refusal.errno} ${refusal.text}`,
      );
  }

  const wire = new Worker(new URL("./wire-thread.js", import.meta.url), {
    workerData: { fdA: hostTap.fd, fdB: eth0.fd },
  });
  const unplugged = new Promise<void>((resolve, reject) => {
    wire.once("error", reject);
    wire.once("exit", () => resolve());
  });
  return { ifindex, talk: (list) => netlink.talk(list), unplugged };
}
