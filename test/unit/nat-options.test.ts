// The `nat` option: what is read from it, what is refused and with which words, and that nothing in
// it can say more to nft or iptables than it should.

import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import { parseSubnet } from "../../src/identity/ipv4.js";
import { resolveNat } from "../../src/nat/nat-options.js";
import { iptablesAccepts, nftAccepts, tableText } from "../../src/nat/rules.js";

const BRIDGE = "vmbr0";
const subnet = parseSubnet("10.100.0.0/16", undefined);

const textOf = (value: unknown): string => {
  const nat = resolveNat(value, BRIDGE);
  if (!nat) return "";
  const { uplink, allowHost } = nat;
  const wish = { bridge: BRIDGE, subnet, isolated: true, translate: false, uplink, allowHost };
  const accepts = [...nftAccepts(wish), ...iptablesAccepts(wish)].map(({ text }) => text);
  return [tableText(wish), ...accepts].join("\n");
};

describe("nat", () => {
  test("is off, or has defaults, or what is given", () => {
    expect(resolveNat(false, BRIDGE)).toBeUndefined();
    expect(resolveNat({}, BRIDGE)).toEqual({
      enableForwarding: false,
      allowHost: [],
      repair: true,
    });
    const allowHost = ["tcp:8080", "udp:53-54", "icmp", "192.0.2.7"];
    const given = { uplink: "eth0.5", enableForwarding: true, allowHost, repair: false };
    expect(resolveNat(given, BRIDGE)).toEqual({
      uplink: "eth0.5",
      enableForwarding: true,
      repair: false,
      allowHost: [
        { kind: "port", protocol: "tcp", first: 8080, last: 8080 },
        { kind: "port", protocol: "udp", first: 53, last: 54 },
        { kind: "icmp" },
        { kind: "address", ip: "192.0.2.7" },
      ],
    });
  });

  test.each<[unknown, string]>([
    [true, "false or an object"],
    [null, "an object for nat"],
    [{ uplinks: "eth0" }, "only the options allowHost, enableForwarding, repair, uplink for nat"],
    [{ uplink: "" }, "for nat.uplink"],
    [{ uplink: "eth*" }, "for nat.uplink"],
    [{ uplink: "eth+" }, "for nat.uplink"],
    [{ uplink: "-eth0" }, "for nat.uplink"],
    [{ uplink: 'eth0"' }, "for nat.uplink"],
    [{ uplink: "a23456789012345x" }, "for nat.uplink"],
    [{ uplink: BRIDGE }, "another interface than the bridge for nat.uplink"],
    [{ enableForwarding: 1 }, "true or false for nat.enableForwarding"],
    [{ repair: "no" }, "true or false for nat.repair"],
    [{ allowHost: "icmp" }, "an array of at most 256 entries for nat.allowHost"],
    [{ allowHost: ["tcp"] }, "for nat.allowHost, but received 'tcp'"],
    [{ allowHost: ["tcp:0"] }, "received 'tcp:0'"],
    [{ allowHost: ["tcp:080"] }, "received 'tcp:080'"],
    [{ allowHost: ["tcp:65536"] }, "received 'tcp:65536'"],
    [{ allowHost: ["udp:9-8"] }, "received 'udp:9-8'"],
    [{ allowHost: ["sctp:1"] }, "received 'sctp:1'"],
    [{ allowHost: ["tcp:1 accept"] }, "received 'tcp:1 accept'"],
    [{ allowHost: ["192.0.2.300"] }, "for nat.allowHost"],
    [{ allowHost: ["192.0.2.0/24"] }, "for nat.allowHost"],
    [{ allowHost: ["::1"] }, "for nat.allowHost"],
    [{ allowHost: [22] }, "received 22"],
  ])("is refused as %o", (value, words) => {
    const refusal = expect.objectContaining({
      code: "ERR_FORKNET_CONFIG",
      message: expect.stringContaining(words),
    });
    expect(() => resolveNat(value, BRIDGE)).toThrow(refusal);
  });

  test.each(["br*", "br+", 'br"', "br#0", "-br"])("is refused on a bridge named %s", (bridge) => {
    expect(() => resolveNat({}, bridge)).toThrow(/for bridge, but received/);
    expect(resolveNat(false, bridge)).toBeUndefined();
  });

  const entry = fc.oneof(fc.string(), fc.stringMatching(/^(tcp|udp|icmp)?[:0-9.-]{0,12}\W?\w?$/));
  test.prop([fc.oneof(fc.string({ maxLength: 16 }), fc.constant("eth0")), entry])(
    "says only known words to the firewall, whatever is given",
    (uplink, allowed) => {
      let text = "";
      try {
        text = textOf({ uplink, allowHost: [allowed] });
      } catch {
        return;
      }
      expect(text).toMatch(/^[\w\s"=!{};:,./-]*$/);
      expect(text.match(/chain /g)).toHaveLength(7);
    },
  );
});

describe("the rules", () => {
  const rules = (isolated: boolean, uplink?: string, translate = false) =>
    tableText({ bridge: BRIDGE, subnet, isolated, translate, uplink, allowHost: [] });

  test("answer a flow that nobody remembers only where a fork may have a copy of one", () => {
    expect(rules(true, undefined, true)).toContain("tcp reject with tcp reset\n\t\tdrop\n");
    expect(rules(true)).not.toContain("reject");
  });

  test("drop what goes from guest to guest only where they are isolated", () => {
    const drop = 'oifname "vmbr0" ip daddr 10.100.0.0/16 drop';
    expect(rules(true)).toContain(drop);
    expect(rules(false)).not.toContain(drop);
  });

  test("name the uplink where it is given, and else any interface but the bridge", () => {
    expect(rules(true)).toContain('oifname != "vmbr0" masquerade');
    expect(rules(true, "eth0")).toContain('oifname "eth0" masquerade');
    expect(rules(true, "eth0")).toContain('oifname != "eth0" drop');
  });
});
