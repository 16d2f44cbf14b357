// Settings of a link that only /proc/sys has; what netlink can set goes by link.set. The calling
// thread's network namespace decides whose they are.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { EROFS, failureOf, Refused } from "../kernel/kernel.js";
import type { Undo } from "./undo.js";

/** The kernel has IPv6 compiled in and enabled at boot. */
export function hasIpv6(): boolean {
  return existsSync("/proc/sys/net/ipv6/conf");
}

/**
 * `sysctl net.ipv6.conf.LINK.disable_ipv6=1`, and notes the way back; does nothing when it is so
 * already. The link's `addressGeneration` is "none", so that it has no IPv6 to speak of: it stays as it
 * is where /proc/sys is read-only, as in a container.
 */
export function disableIpv6(link: string, undo: Undo): void {
  const path = `/proc/sys/net/ipv6/conf/${link}/disable_ipv6`;
  if (readSetting(link, path) === 1) return;
  const write = (value: number) =>
    guarded(link, `write ${path}`, () => writeFileSync(path, String(value)));
  try {
    write(1);
  } catch (error) {
    if (failureOf(error, "", "").errno === EROFS) return;
    throw error;
  }
  undo.push(`0 in ${path}`, () => write(0));
}

/** Does something while the kernel keeps the other addresses of a subnet whose first one goes. */
export function whilePromoting(link: string, run: () => void): void {
  const path = `/proc/sys/net/ipv4/conf/${link}/promote_secondaries`;
  const former = readSetting(link, path);
  const write = (value: number) =>
    guarded(link, `write ${path}`, () => writeFileSync(path, String(value)));
  if (former !== 1) write(1);
  try {
    run();
  } finally {
    if (former !== 1) write(former);
  }
}

/** How often the kernel broadcasts an ARP request on the link: `sysctl net.ipv4.neigh.LINK.mcast_solicit`. */
export function multicastProbes(link: string): number {
  return readSetting(link, `/proc/sys/net/ipv4/neigh/${link}/mcast_solicit`);
}

function readSetting(link: string, path: string): number {
  return guarded(link, `read ${path}`, () => Number(readFileSync(path, "utf8")));
}

function guarded<T>(link: string, operation: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new Refused({ ...failureOf(error, "sysctl", link), operation });
  }
}
