// Which hook sees an upload? Measures TCP through one guest, both ways: unshaped, with HTB 20 mbit on
// the bridge's own root, and with the same HTB on an IFB that the TAP's ingress is redirected to.
// Run as root: `npm run bench:upload-path`. Takes about 25 s in a network namespace of its own.

import { execFileSync } from "node:child_process";
import { loadAddon } from "../dist/kernel/addon.js";
import { startGuest } from "../dist/stand-in/guest.js";
import { measureTcp } from "../dist/stand-in/traffic.js";

const GATEWAY = "10.77.0.1";
const SECONDS = 3;
const HTB_ROOT = 0x10000;
/** 20 mbit in bytes per second. */
const RATE = 2_500_000;

const addon = loadAddon();
addon.unshareNetwork();
const netlink = new addon.Netlink();

/**
 * Sends messages of which none may be refused.
 * @param {import("../dist/kernel/messages.js").Message[]} messages
 */
function must(...messages) {
  const refused = netlink.talk(messages).find((refusal) => refusal !== null);
  if (refused) throw new Error(`errno ${refused.errno} ${refused.text}`);
}

/**
 * HTB with one default class that everything falls into.
 * @param {number} ifindex
 * @returns {import("../dist/kernel/messages.js").Message[]}
 */
function htbMessages(ifindex) {
  const bucket = { burstBytes: 20_000, cburstBytes: 20_000, quantumBytes: 60_000 };
  const handle = HTB_ROOT + 0x10;
  return [
    { op: "qdisc.htb", verb: "add", ifindex, handle: HTB_ROOT, defaultMinor: 0x10 },
    {
      op: "class.htb",
      verb: "add",
      ifindex,
      parent: HTB_ROOT,
      handle,
      rate: RATE,
      ceil: RATE,
      ...bucket,
    },
  ];
}

/**
 * @param {string} setting
 * @param {import("../dist/stand-in/guest.js").Guest} guest
 */
async function row(setting, guest) {
  const measured = async (/** @type {"upload" | "download"} */ direction) => {
    const { bitsPerSecond } = await measureTcp({
      guest,
      hostIp: GATEWAY,
      direction,
      seconds: SECONDS,
    });
    return (bitsPerSecond / 1e6).toFixed(1).padStart(9);
  };
  const upload = await measured("upload");
  console.log(
    `${setting.padEnd(24)} upload ${upload} Mbit/s   download ${await measured("download")} Mbit/s`,
  );
}

/** @param {string} name */
function ifindexOf(name) {
  return netlink.link({ name })?.ifindex ?? 0;
}

must({ op: "link.set", ifindex: 1, up: true }, { op: "link.create", name: "br0", kind: "bridge" });
must({ op: "link.create", name: "ifb-up", kind: "ifb" });
const bridge = ifindexOf("br0");
const ifb = ifindexOf("ifb-up");
const { fd, ifindex: tap } = addon.openTap({ name: "tap0", exclusive: true, vnetHdr: true });
addon.setTapPersistent(fd, true);
addon.closeFd(fd);
must(
  { op: "address.add", ifindex: bridge, ip: 0x0a4d0001, prefixLength: 24 },
  { op: "link.set", ifindex: bridge, up: true },
  { op: "link.set", ifindex: ifb, up: true },
  { op: "link.set", ifindex: tap, master: bridge },
  { op: "link.set", ifindex: tap, up: true },
);
const guest = await startGuest({
  tap: "tap0",
  mac: "02:00:0a:4d:00:02",
  ip: "10.77.0.2",
  prefixLength: 24,
  gateway: GATEWAY,
});
try {
  await row("unshaped", guest);
  must(...htbMessages(bridge));
  await row("HTB on the bridge's root", guest);
  must({ op: "qdisc.delete", ifindex: bridge, parent: 0xffffffff }, ...htbMessages(ifb));
  must({ op: "qdisc.clsact", verb: "add", ifindex: tap });
  // The one thing the addon has no word for: it redirects by BPF, this probe by u32 and mirred.
  const filter = "protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev ifb-up";
  execFileSync("tc", ["filter", "add", "dev", "tap0", "ingress", ...filter.split(" ")]);
  await row("HTB on an IFB", guest);
} finally {
  await guest.stop();
}
