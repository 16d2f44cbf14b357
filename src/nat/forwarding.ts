// The host's switch for forwarding IPv4. Read and written in the calling thread, whose network
// namespace /proc/sys shows.

import { readFileSync, writeFileSync } from "node:fs";
import { ForknetError } from "../errors.js";

const SETTINGS = "/proc/sys/net/ipv4";
const FORWARD = `${SETTINGS}/ip_forward`;
/** Writing ip_forward sets this to the opposite, whatever it was. */
const REDIRECTS = `${SETTINGS}/conf/all/accept_redirects`;

export function isForwarding(): boolean {
  return readFileSync(FORWARD, "utf8").trim() !== "0";
}

/** Throws PERMISSION. Returns the way back. */
export function enableForwarding(): () => void {
  const redirects = readFileSync(REDIRECTS, "utf8");
  write(FORWARD, "1");
  return () => {
    write(FORWARD, "0");
    write(REDIRECTS, redirects);
  };
}

export function forwardingIsOff(): ForknetError {
  const text =
    "nat needs IPv4 forwarding, which is off: run `sysctl -w net.ipv4.ip_forward=1` " +
    "or open with nat: { enableForwarding: true }";
  return new ForknetError("ERR_FORKNET_CONFIG", text);
}

function write(path: string, value: string): void {
  try {
    writeFileSync(path, value);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new ForknetError("ERR_FORKNET_PERMISSION", `cannot write ${path} (${code})`, { cause });
  }
}
