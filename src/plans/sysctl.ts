// Settings of a link that only /proc/sys has. The calling thread's network namespace decides whose
// they are.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { failureOf, Refused } from "../kernel/kernel.js";
import type { Undo } from "./undo.js";

/** The kernel has IPv6 compiled in and enabled at boot. */
export function hasIpv6(): boolean {
  return existsSync("/proc/sys/net/ipv6/conf");
}

/**
 * Writes one setting of a link, `sysctl net.ipv4.conf.LINK.KEY=VALUE`, and notes the way back; does
 * nothing when it has the value already.
 */
export function setLinkSysctl(
  tree: "ipv4/conf" | "ipv4/neigh" | "ipv6/conf",
  link: string,
  key: string,
  value: number,
  undo: Undo,
): void {
  const path = `/proc/sys/net/${tree}/${link}/${key}`;
  const former = guarded(link, `read ${path}`, () => readFileSync(path, "utf8").trim());
  if (former === String(value)) return;
  const write = (text: string) => guarded(link, `write ${path}`, () => writeFileSync(path, text));
  write(String(value));
  undo.push(`${former} in ${path}`, () => write(former));
}

function guarded<T>(link: string, operation: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new Refused({ ...failureOf(error, "sysctl", link), operation });
  }
}
