// What lies beyond the host: a namespace behind the interface up0, reached by routing, and what the
// host's firewalls say. Its namespace is a stand-in guest's.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect, onTestFinished } from "vitest";
import { type Guest, startGuest } from "../../dist/stand-in/guest.js";
import { deleteLink, indexOf, ipNumber, linkNamed, macNumber, tellKernel } from "./kernel-view.js";
import { RawTap } from "./raw-tap.js";
import { addUplink, INTERNET, removeHostAddress, UPLINK, UPLINK_IP } from "./uplink.js";

export { HOST_IP, INTERNET, INTERNET_IP, UPLINK, UPLINK_IP } from "./uplink.js";

const IP_FORWARD = "/proc/sys/net/ipv4/ip_forward";

/** The host's side of the uplink, until the test has finished. */
function makeUplink(): void {
  addUplink();
  onTestFinished(() => deleteLink(UPLINK));
  onTestFinished(removeHostAddress);
}

/** The uplink with a test at its other end, frame by frame: INTERNET is who the host sends to. */
export async function openRawUplink(): Promise<RawTap> {
  makeUplink();
  const raw = new RawTap({ tap: UPLINK });
  onTestFinished(() => raw.close());
  const [ip, mac] = [ipNumber(INTERNET.ip), macNumber(INTERNET.mac)];
  tellKernel({ op: "neighbor.set", ifindex: indexOf(UPLINK), ip, mac });
  // Until the carrier has reached the link's queue, the host's frames are dropped.
  await expect.poll(() => linkNamed(UPLINK)?.lowerUp).toBe(true);
  return raw;
}

/**
 * Connects the host with the internet until the test has finished. The internet has no route to the
 * guests unless `isRouted`: then what is not masqueraded gets an answer, too. Without `vnetHdr`
 * checksums are complete on the uplink, and verified behind it.
 */
export async function openInternet({ isRouted = false, vnetHdr = true } = {}): Promise<Guest> {
  makeUplink();
  const internet = await startGuest({
    ...INTERNET,
    vnetHdr,
    ...(isRouted && { gateway: UPLINK_IP }),
  });
  onTestFinished(() => internet.stop());
  return internet;
}

/** Sets the host's forwarding for the time of the test. */
export function setForwarding(isOn: boolean): void {
  const former = isForwarding();
  writeFileSync(IP_FORWARD, isOn ? "1" : "0");
  onTestFinished(() => writeFileSync(IP_FORWARD, former ? "1" : "0"));
}

export function isForwarding(): boolean {
  return readFileSync(IP_FORWARD, "utf8").trim() === "1";
}

/** Runs firewall commands of the host, one a line. */
export function firewall(lines: string): void {
  execFileSync("bash", ["-e"], { input: lines, stdio: ["pipe", "ignore", "inherit"] });
}

/** Every rule of nft and of both kinds of iptables, without counters. */
export function readRules(): string[] {
  const list = "/proc/thread-self/net/ip_tables_names";
  // Not there before the first table of any namespace was made.
  const names = existsSync(list) ? readFileSync(list, "utf8") : "";
  // Asking the older iptables about a table makes one.
  const legacy = names.includes("filter") ? ["iptables-legacy -S"] : [];
  return ["nft -s list ruleset", "iptables-nft -S", ...legacy].flatMap((command) => {
    const [name, ...args] = command.split(" ") as [string, ...string[]];
    const stdio = ["ignore", "pipe", "ignore"] as const;
    return execFileSync(name, args, { encoding: "utf8", stdio: [...stdio] }).split("\n");
  });
}
