// Whether a table that nft lists is the one that was made: other words, but no rule more or less.

import { expect, it } from "vitest";
import { parseSubnet } from "../../src/identity/ipv4.js";
import { isWhole, tableText } from "../../src/nat/rules.js";

const made = tableText({
  bridge: "vmbr0",
  subnet: parseSubnet("10.100.0.0/16", undefined),
  isolated: true,
  translate: true,
  uplink: "eth0",
  allowHost: [{ kind: "icmp" }],
});

const without = (line: string) => {
  expect(made).toContain(line);
  return made.replace(line, "");
};

it("a table is whole in whatever words nft lists it", () => {
  expect(isWhole(made, made)).toBe(true);
  expect(isWhole(made.replaceAll("\t}\n", "\t}\n\n"), made)).toBe(true);
  const reworded = made.replace("ip protocol icmp accept", "meta l4proto 1 accept");
  expect(isWhole(reworded, made)).toBe(true);
});

it.each<[string, string]>([
  ["is empty", "table ip forknet-vmbr0 {\n}\n"],
  ["lacks a rule", without("\t\tip protocol icmp accept\n")],
  ["has one too many", made.replace("\tchain to-host {\n", "\tchain to-host {\n\t\taccept\n")],
  ["lacks a chain", without("\tchain invalid-from-guests {\n")],
  ["has its comment no more", without('\tcomment "forknet1:nat:vmbr0"\n')],
])("a table that %s is not", (_, listed) => {
  expect(isWhole(listed, made)).toBe(false);
});
