// Where accept rules belong in what nft and iptables list: hosts as firewalld, ufw and Docker set them up,
// and the ways in which a chain decides about everything.

import { describe, expect, it } from "vitest";
import { type ListedChain, parseIptables, parseNftTable } from "../../src/nat/listing.js";
import { findPlace } from "../../src/nat/place.js";

const BRIDGE = "vmbr0";

/** Chain and number of the place, for the base chains of a listing. */
function placesIn(listed: readonly ListedChain[]): string[] {
  const effects = new Map(
    listed.map(({ name, rules }) => [
      name,
      rules.filter(({ isNetworks }) => !isNetworks).map(({ effect }) => effect),
    ]),
  );
  return listed.flatMap(({ name, base }) => {
    if (!base) return [];
    const place = findPlace(effects, name, base.drops);
    return place ? [`${place.chain} ${place.after}`] : ["none"];
  });
}

/** A table as nft lists it, its rules numbered. */
function nftTable(chains: Record<string, string[]>): string {
  let handle = 0;
  const blocks = Object.entries(chains).map(([name, lines]) => {
    const rules = lines.map((line) => {
      const isRule = !line.startsWith("type ") && !line.startsWith("comment ");
      return `\t\t${line}${isRule ? ` # handle ${++handle}` : ""}\n`;
    });
    return `\tchain ${name} { # handle ${++handle}\n${rules.join("")}\t}\n`;
  });
  return `table inet filter { # handle 1\n${blocks.join("\n")}}\n`;
}

const inNft = (chains: Record<string, string[]>) =>
  placesIn(parseNftTable(nftTable(chains), BRIDGE));
const inIptables = (text: string) => placesIn(parseIptables(text, BRIDGE));

const accept = "type filter hook forward priority filter; policy accept;";
const drop = "type filter hook forward priority filter; policy drop;";

describe("in a chain of nft", () => {
  it.each<[string, string[], string]>([
    ["that accepts", [accept], "none"],
    ["that drops", [drop], "forward 0"],
    ["that drops what its rules do not take", [drop, "tcp dport 22 accept"], "forward 1"],
    ["with a drop in the middle", [drop, "ip daddr 169.254.169.254 drop"], "forward 1"],
    ["that ends in a drop", [accept, "ct state established accept", "drop"], "forward 1"],
    ["that ends in a counted reject", [accept, "counter reject"], "forward 0"],
    [
      "that ends in a reject with a word",
      [accept, "reject with icmpx admin-prohibited"],
      "forward 0",
    ],
    ["that rejects all of IPv4", [accept, "meta nfproto ipv4 counter drop"], "forward 0"],
    ["that resets TCP", [accept, "reject with tcp reset"], "none"],
    ["that drops IPv6", [accept, "meta nfproto ipv6 drop"], "none"],
    ["that drops too much", [accept, "limit rate over 400/minute drop"], "none"],
    [
      "that logs what it drops",
      [drop, "tcp dport 22 accept", 'log prefix "a # handle 5"'],
      "forward 1",
    ],
    [
      "that logs and counts what it drops, as far as there is not too much",
      [
        accept,
        'oifname "x" log',
        'limit rate 3/minute burst 10 packets log prefix "x" level warn flags all',
        "counter",
        "drop",
      ],
      "forward 1",
    ],
    ["that counts before it drops, and logs nothing", [drop, "counter"], "forward 1"],
    ["that accepts everything in the end", [drop, "tcp dport 22 drop", "accept"], "none"],
    ["that asks a program", [drop, "queue to 1"], "none"],
    ["that drops twice", [drop, "drop", "tcp dport 22 accept"], "forward 0"],
    ["with a map", [drop, "ct state vmap { established : accept, invalid : drop }"], "forward 1"],
    ["with a comment", [drop, 'comment "mine"', 'tcp dport 22 accept comment "drop"'], "forward 1"],
    [
      "with rules of several lines",
      [
        drop,
        "ip saddr { 10.0.0.0/8,\n\t\t\t     172.16.0.0/12 } drop",
        'iifname "x" jump {\n\t\t\tdrop\n\t\t}',
      ],
      "forward 2",
    ],
  ])("%s", (_, forward, place) => {
    expect(inNft({ forward })).toEqual([place]);
  });

  it("every chain counts, and what is no chain of forwarded packets does not", () => {
    const input = ["type filter hook input priority filter; policy drop;"];
    expect(inNft({ input, early: [drop], late: [accept, "drop"] })).toEqual(["early 0", "late 0"]);
  });

  it.each<[string, Record<string, string[]>, string]>([
    ["drops", { end: ["tcp dport 22 accept", "drop"] }, "end 1"],
    ["decides nothing", { end: ["tcp dport 22 accept"] }, "forward 1"],
    ["returns before it drops", { end: ["return", "drop"] }, "forward 1"],
    ["accepts", { end: ["accept"] }, "none"],
    ["is not there", {}, "forward 1"],
    ["only logs", { end: ["log", "return"] }, "forward 0"],
    ["asks another one that drops", { end: ["goto more", "accept"], more: ["reject"] }, "more 0"],
    ["does not come back from another one", { end: ["goto more", "drop"], more: [] }, "forward 1"],
  ])("a chain that it jumps to %s", (_, chains, place) => {
    expect(inNft({ forward: [drop, "jump end"], ...chains })).toEqual([place]);
  });

  it("firewalld: in the chain of policies, whose last rule rejects", () => {
    expect(
      inNft({
        filter_FORWARD: [
          "type filter hook forward priority filter + 10; policy accept;",
          "ct state { established, related } accept",
          "ct status dnat accept",
          'iifname "lo" accept',
          "ct state invalid drop",
          "ip6 daddr { ::/96, ::ffff:0.0.0.0/96 } reject with icmpv6 addr-unreachable",
          "jump filter_FORWARD_POLICIES",
          "reject with icmpx admin-prohibited",
        ],
        filter_FORWARD_POLICIES: [
          'iifname "eth0" oifname "eth0" jump filter_FWD_public',
          'iifname "eth0" oifname "eth0" reject with icmpx admin-prohibited',
          "jump filter_FWD_public",
          "reject with icmpx admin-prohibited",
        ],
        filter_FWD_public: ["jump filter_FWD_public_deny", "jump filter_FWD_public_allow"],
        filter_FWD_public_deny: ["ip saddr 192.0.2.1 drop"],
        filter_FWD_public_allow: [],
      }),
    ).toEqual(["filter_FORWARD_POLICIES 3"]);
  });
});

describe("in a chain of iptables", () => {
  const rules = (policy: string, ...lines: string[]) =>
    [`-P INPUT DROP`, `-P FORWARD ${policy}`, "-N USER", ...lines, ""].join("\n");

  it.each<[string, string, string]>([
    ["that accepts", rules("ACCEPT"), "none"],
    ["that drops", rules("DROP"), "FORWARD 0"],
    [
      "that ends in a reject",
      rules(
        "ACCEPT",
        "-A FORWARD -p tcp -j ACCEPT",
        "-A FORWARD -j REJECT --reject-with icmp-port-unreachable",
      ),
      "FORWARD 1",
    ],
    [
      "that ends in a drop with a comment",
      rules("ACCEPT", '-A FORWARD -m comment --comment "the end" -j DROP'),
      "FORWARD 0",
    ],
    ["that asks a program", rules("DROP", "-A FORWARD -j NFQUEUE --queue-num 0"), "none"],
    [
      "that marks and counts",
      rules("DROP", "-A FORWARD -j MARK --set-xmark 0x1/0xffffffff", "-A FORWARD"),
      "FORWARD 2",
    ],
    [
      "that logs",
      rules(
        "DROP",
        "-A FORWARD -s 10.0.0.1/32 -j DROP",
        '-A FORWARD -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[BLOCK] "',
      ),
      "FORWARD 1",
    ],
    [
      "whose other chain drops",
      rules(
        "ACCEPT",
        "-A FORWARD -j USER",
        "-A USER -d 169.254.169.254/32 -j DROP",
        "-A USER -j DROP",
      ),
      "USER 1",
    ],
    [
      "that goes to another chain",
      rules("DROP", "-A FORWARD -g USER", "-A FORWARD -j ACCEPT"),
      "FORWARD 2",
    ],
    [
      "that goes there for some packets",
      rules("DROP", "-A FORWARD -i eth0 -j USER", "-A USER -j DROP"),
      "FORWARD 1",
    ],
  ])("%s", (_, text, place) => {
    expect(inIptables(text)).toEqual([place]);
  });

  it("Docker: behind everything that Docker and the operator decide", () => {
    const text = `-P INPUT ACCEPT
-P FORWARD DROP
-P OUTPUT ACCEPT
-N DOCKER
-N DOCKER-ISOLATION-STAGE-1
-N DOCKER-ISOLATION-STAGE-2
-N DOCKER-USER
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -d 169.254.169.254/32 -j DROP
-A DOCKER-USER -j RETURN
`;
    expect(inIptables(text)).toEqual(["FORWARD 6"]);
    const closed = text.replace("-A DOCKER-USER -j RETURN", "-A DOCKER-USER -j DROP");
    expect(inIptables(closed)).toEqual(["DOCKER-USER 1"]);
  });

  it("ufw: before it logs what it blocks", () => {
    const chains = ["before-logging", "before", "after", "after-logging", "reject", "track"];
    const names = chains.map((name) => `ufw-${name}-forward`);
    const text = [
      "-P FORWARD DROP",
      ...names.map((name) => `-N ${name}`),
      "-N ufw-user-forward",
      ...names.map((name) => `-A FORWARD -j ${name}`),
      "-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
      "-A ufw-before-forward -p icmp -m icmp --icmp-type 8 -j ACCEPT",
      "-A ufw-before-forward -j ufw-user-forward",
      "-A ufw-user-forward -d 169.254.169.254/32 -j DROP",
      '-A ufw-after-logging-forward -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "',
    ].join("\n");
    expect(inIptables(text)).toEqual(["FORWARD 3"]);
    const rejecting = `${text}\n-A ufw-reject-forward -j REJECT --reject-with icmp-port-unreachable`;
    expect(inIptables(rejecting)).toEqual(["ufw-reject-forward 0"]);
  });
});

describe("rules of networks", () => {
  const mark = (bridge: string) => `forknet1:nat:${bridge}:0123abcd`;

  it("are told apart: this one's, another's, and those of others", () => {
    const nft = parseNftTable(
      nftTable({
        forward: [
          drop,
          `iifname "vmbr0" accept comment "${mark("vmbr0")}"`,
          `iifname "vmbr0.1" accept comment "${mark("vmbr0.1")}"`,
          `iifname "vmbr0" accept comment "forknet1:nat:vmbr0"`,
          'tcp dport 22 accept comment "ssh"',
        ],
      }),
      BRIDGE,
    );
    expect(nft[0]?.rules).toMatchObject([
      { own: { id: "0123abcd" }, isNetworks: true, handle: "1" },
      { isNetworks: true },
      { isNetworks: true },
      { isNetworks: false },
    ]);
    expect(nft[0]?.rules.map(({ own }) => own?.text)).toEqual([
      `iifname "vmbr0" accept comment "${mark("vmbr0")}"`,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("count for nothing when a place is looked for", () => {
    const text = `-P FORWARD DROP
-A FORWARD -i vmbr0 -m comment --comment "${mark("vmbr0")}" -j ACCEPT
-A FORWARD -i vmbr1 -m comment --comment ${mark("vmbr1")} -j ACCEPT
-A FORWARD -s 10.0.0.1/32 -j DROP
`;
    expect(inIptables(text)).toEqual(["FORWARD 1"]);
    const own = parseIptables(text, BRIDGE)[0]?.rules[0]?.own;
    expect(own?.text).toBe(`-i vmbr0 -m comment --comment "${mark("vmbr0")}" -j ACCEPT`);
  });
});
