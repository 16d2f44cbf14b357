// A guest's network without forknet: a bridge and a TAP, bare, or with limits as scripts make them, whose upload filters
// are one linear list.

import { execFileSync, spawnSync } from "node:child_process";
import { loadAddon } from "../../dist/kernel/addon.js";

const GATEWAY = 0x0a640001;
const LOOPBACK_IFINDEX = 1;
const LARGE_RATE = "100gbit";
/** Without it tc warns for each of these rates. */
const QUANTUM = "quantum 60000";

/** What a stand-in guest needs to know. */
export const PLAIN_GUEST = {
  tap: "tap0",
  mac: "02:00:0a:64:00:02",
  ip: "10.100.0.2",
  prefixLength: 16,
  gateway: "10.100.0.1",
};

/** Makes the bridge with its address, the TAP on it, and an IFB. */
export function makePlainNetwork() {
  const addon = loadAddon();
  const netlink = new addon.Netlink();
  const ifindexOf = (/** @type {string} */ name) => netlink.link({ name })?.ifindex ?? 0;
  /** @param {import("../../dist/kernel/messages.js").Message[]} messages */
  const must = (...messages) => {
    const refused = netlink.talk(messages).find((refusal) => refusal !== null);
    if (refused) throw new Error(`errno ${refused.errno} ${refused.text}`);
  };
  must(
    { op: "link.create", name: "br0", kind: "bridge" },
    { op: "link.create", name: "ifb-up", kind: "ifb" },
  );
  const { fd, ifindex: tap } = addon.openTap({
    name: PLAIN_GUEST.tap,
    exclusive: true,
    vnetHdr: true,
  });
  addon.setTapPersistent(fd, true);
  addon.closeFd(fd);
  const bridge = ifindexOf("br0");
  must(
    { op: "link.set", ifindex: LOOPBACK_IFINDEX, up: true },
    { op: "address.add", ifindex: bridge, ip: GATEWAY, prefixLength: PLAIN_GUEST.prefixLength },
    { op: "link.set", ifindex: bridge, up: true },
    { op: "link.set", ifindex: ifindexOf("ifb-up"), up: true },
    { op: "link.set", ifindex: tap, master: bridge },
    { op: "link.set", ifindex: tap, up: true },
  );
  netlink.close();
}

/**
 * Limits the way scripts do: a TBF on the TAP, its ingress redirected to the IFB, and there a class and a u32 filter
 * for each of `guests`. The measured guest's filter is the middle one: the average guest. Replaces an earlier list.
 * @param {number} guests
 */
export function limitByLinearList(guests) {
  const mine = Math.floor(guests / 2);
  const lines = [
    `qdisc replace dev ${PLAIN_GUEST.tap} root handle 1: tbf rate ${LARGE_RATE} burst 100mb latency 50ms`,
    `qdisc add dev ${PLAIN_GUEST.tap} clsact`,
    `filter add dev ${PLAIN_GUEST.tap} ingress protocol all prio 1 u32 match u32 0 0 action mirred egress redirect dev ifb-up`,
    "qdisc add dev ifb-up root handle 1: htb default 2",
    ...[1, 2].map(
      (minor) =>
        `class add dev ifb-up parent 1: classid 1:${minor} htb rate ${LARGE_RATE} ${QUANTUM}`,
    ),
  ];
  for (let i = 0; i < guests; i++) {
    const id = (i + 0x10).toString(16);
    const ip = i === mine ? PLAIN_GUEST.ip : `10.101.${i >> 8}.${i & 255}`;
    const rate = i === mine ? LARGE_RATE : "10mbit";
    lines.push(`class add dev ifb-up parent 1:1 classid 1:${id} htb rate ${rate} ${QUANTUM}`);
    lines.push(
      `filter add dev ifb-up parent 1: protocol ip prio 1 u32 match ip src ${ip} flowid 1:${id}`,
    );
  }
  const quiet = /** @type {const} */ (["pipe", "ignore", "inherit"]);
  spawnSync("tc", ["qdisc", "del", "dev", PLAIN_GUEST.tap, "clsact"], { stdio: "ignore" });
  spawnSync("tc", ["qdisc", "del", "dev", "ifb-up", "root"], { stdio: "ignore" });
  execFileSync("tc", ["-batch", "-"], { input: `${lines.join("\n")}\n`, stdio: [...quiet] });
}
