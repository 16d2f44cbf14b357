// What the IPv4 stack of a network namespace counted as wrong checksums. A wrong one that comes once
// is sent again and a flow ends whole all the same: only these counters tell.

import { readFileSync } from "node:fs";
import { expect } from "vitest";
import type { Guest } from "../../dist/stand-in/guest.js";

const FILES = ["snmp", "netstat"];
const COUNTER = "InCsumErrors";

/** By protocol as in /proc/net/snmp, "IpExt" for IPv4 headers. Of the test's own namespace by default. */
export function checksumErrors(guest?: Guest): Record<string, number> {
  const folder = guest ? `/proc/${guest.pid}/net` : "/proc/thread-self/net";
  const found: Record<string, number> = {};
  for (const file of FILES) {
    const lines = readFileSync(`${folder}/${file}`, "utf8").trim().split("\n");
    // A line of names, then one of values.
    for (let at = 0; at + 1 < lines.length; at += 2) {
      const [names, values] = [lines[at], lines[at + 1]].map((line) => (line as string).split(" "));
      const column = names?.indexOf(COUNTER) ?? -1;
      if (column > 0) found[String(names?.[0]).replace(":", "")] = Number(values?.[column]);
    }
  }
  return found;
}

/** For each of these namespaces; undefined is the test's own. */
export function expectNoChecksumErrors(...namespaces: readonly (Guest | undefined)[]): void {
  for (const one of namespaces) {
    const found = checksumErrors(one);
    // A kernel that counts none would always be right.
    expect(Object.keys(found)).toEqual(expect.arrayContaining(["IpExt", "Icmp", "Tcp", "Udp"]));
    const wrong = Object.entries(found).filter(([, count]) => count > 0);
    expect(wrong, `checksum errors in ${one ? one.options.tap : "the host"}`).toEqual([]);
  }
}
