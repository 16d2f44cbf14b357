// Settings of the host that decide whether and how fast guests' packets go on: forwarding, reverse
// path filter, netfilter on bridges, the console's log level.

import { accessSync, constants } from "node:fs";
import { READ_ONLY_SYSCTLS } from "../errors.js";
import { defaultLinks, forwardingKey } from "../nat/forwarding.js";
import { quoted } from "../shell.js";
import { about, type Finding } from "./finding.js";
import type { Scene } from "./host.js";

const RP_FILTER_STRICT = 1;
/** Messages about bridge ports are KERN_INFO, and are printed when the level is above it. */
const KERN_INFO = 6;

const forward = about(
  "host.ip-forward",
  "without it a guest reaches the host and nothing beyond; `nat` with `enableForwarding` turns it on, too",
);
const writable = about(
  "host.proc-sys",
  "what netlink cannot set stays as it is: IPv6 on a bridge of others, and the host's switch for forwarding",
);
const reverse = about(
  "host.rp-filter",
  "a strict filter silently drops packets whose way back is another link, as with two uplinks",
);
const netfilter = about(
  "host.bridge-netfilter",
  "bridged frames pass iptables and conntrack, too: slower, and dropped where FORWARD drops",
);
const console_ = about(
  "host.console-log-level",
  "the kernel prints lines for each port of a bridge that comes or goes, on a slow console while others wait",
);

export function checkSysctls(scene: Scene): Finding[] {
  return [
    checkForwarding(scene),
    checkWritable(scene),
    checkReversePath(scene),
    checkBridgeNetfilter(scene),
    checkConsole(scene),
  ];
}

/** At the links that packets of guests and answers come in by; without any, the host's own switch. */
function checkForwarding({ host, netlink, bridge }: Scene): Finding {
  const uplinks = defaultLinks(netlink);
  const isOff = host.read("/proc/sys/net/ipv4/ip_forward") === "0";
  if (isOff && uplinks.length === 0)
    return forward.warning("net.ipv4.ip_forward is 0", "sysctl -w net.ipv4.ip_forward=1");
  const links = bridge ? [bridge, ...uplinks] : uplinks;
  const off = links.filter(({ forwarding }) => !forwarding).map(({ name }) => forwardingKey(name));
  if (off.length > 0)
    return forward.warning(
      `${off.join(", ")} ${off.length === 1 ? "is" : "are"} 0`,
      ...off.map((key) => `sysctl -w ${quoted(`${key}=1`)}`),
    );
  const names = links.map(({ name }) => name).join(", ");
  return forward.ok(names === "" ? "net.ipv4.ip_forward is 1" : `on at ${names}`);
}

function checkWritable({ host }: Scene): Finding {
  try {
    accessSync(host.path("/proc/sys/net/ipv4/ip_forward"), constants.W_OK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EROFS")
      return writable.warning(READ_ONLY_SYSCTLS, "mount -o remount,rw /proc/sys");
  }
  return writable.ok("/proc/sys is not read-only");
}

/** The larger of `all`'s and the link's own value is in force: 2, loose, wins over 1, strict. */
function checkReversePath({ host, netlink, bridgeName, bridge }: Scene): Finding {
  const value = (link: string) =>
    Number(host.read(`/proc/sys/net/ipv4/conf/${link}/rp_filter`) ?? "0");
  const uplinks = defaultLinks(netlink).map(({ name }) => name);
  const links = new Set(bridge ? [bridgeName, ...uplinks] : uplinks);
  const strict = [...links].filter(
    (link) => Math.max(value("all"), value(link)) === RP_FILTER_STRICT,
  );
  if (strict.length === 0)
    return reverse.ok(`not strict at ${[...links].join(", ") || "any link that matters"}`);
  return reverse.warning(
    `strict at ${strict.join(", ")}`,
    ...strict.map((link) => `sysctl -w ${quoted(`net/ipv4/conf/${link}/rp_filter=2`)}`),
  );
}

function checkBridgeNetfilter({ host }: Scene): Finding {
  const on = ["iptables", "ip6tables", "arptables"]
    .map((tool) => `net.bridge.bridge-nf-call-${tool}`)
    .filter((key) => host.read(`/proc/sys/${key.replaceAll(".", "/")}`) === "1");
  if (on.length === 0) return netfilter.ok("off");
  const text = `${on.join(", ")} ${on.length === 1 ? "is" : "are"} 1`;
  return netfilter.warning(text, ...on.map((key) => `sysctl -w ${key}=0`));
}

/** Not per namespace: the only setting here that belongs to the whole host. */
export function checkConsole({ host }: Scene): Finding {
  const level = Number(host.read("/proc/sys/kernel/printk")?.split(/\s+/)[0] ?? "0");
  const consoles = host.read("/proc/consoles") ?? "";
  const names = consoles.split("\n").map((line) => line.split(/\s+/)[0]);
  const text = `level ${level}, consoles: ${names.join(", ") || "none"}`;
  if (level <= KERN_INFO || consoles === "") return console_.ok(text);
  return console_.warning(text, "sysctl -w kernel.printk='4 4 1 7'");
}
