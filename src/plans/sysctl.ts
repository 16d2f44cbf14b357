// Settings of a link that only /proc/sys has. The calling thread's network namespace decides whose
// they are.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { failureOf, Refused } from "../kernel/kernel.js";

/** The kernel has IPv6 compiled in and enabled at boot. */
export function hasIpv6(): boolean {
  return existsSync("/proc/sys/net/ipv6/conf");
}

/**
 * Writes one setting of a link, `sysctl net.ipv4.conf.LINK.KEY=VALUE`; does nothing when it has the
 * value already.
 */
export function setLinkSysctl(
  tree: "ipv4/conf" | "ipv4/neigh" | "ipv6/conf",
  link: string,
  key: string,
  value: number,
): void {
  const path = `/proc/sys/net/${tree}/${link}/${key}`;
  try {
    if (readFileSync(path, "utf8").trim() !== String(value)) writeFileSync(path, String(value));
  } catch (error) {
    throw new Refused({ ...failureOf(error, "write", link), operation: `write ${path}` });
  }
}
