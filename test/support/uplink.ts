// The host's side of an uplink: a TAP with the host's addresses. Who is at its other end, and when it
// goes, is left to others.

import { loadAddon } from "../../src/kernel/addon.js";
import { ipNumber, tellKernel } from "./kernel-view.js";

export const UPLINK = "up0";
/** The host's address on the uplink. */
export const UPLINK_IP = "203.0.113.1";
export const INTERNET_IP = "203.0.113.9";
/** Another address of the host, on lo. */
export const HOST_IP = "192.0.2.1";
const LOOPBACK_IFINDEX = 1;
const OTHER = { ifindex: LOOPBACK_IFINDEX, ip: ipNumber(HOST_IP), prefixLength: 32 };

/** Whoever plugs in at the other end is the internet. */
export const INTERNET = {
  tap: UPLINK,
  mac: "02:00:00:00:00:09",
  ip: INTERNET_IP,
  prefixLength: 24,
};

/** Makes the uplink and brings it up, with its addresses and another one on lo. */
export function addUplink(): void {
  const addon = loadAddon();
  const { fd, ifindex } = addon.openTap({ name: UPLINK, vnetHdr: true, exclusive: true });
  addon.setTapPersistent(fd, true);
  addon.closeFd(fd);
  tellKernel(
    { op: "link.set", ifindex, addressGeneration: "none" },
    { op: "address.add", ifindex, ip: ipNumber(UPLINK_IP), prefixLength: 24 },
    { op: "address.add", ...OTHER },
    { op: "link.set", ifindex, up: true },
  );
}

export function removeHostAddress(): void {
  tellKernel({ op: "address.delete", ...OTHER });
}
