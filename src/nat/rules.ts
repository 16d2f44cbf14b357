// The rules of a network as text: its own nftables table, and the accept rules that chains of others
// need when they drop what they do not know. Pure.

import { createHash } from "node:crypto";
import { formatIpv4, type Subnet } from "../identity/ipv4.js";
import type { HostAccess } from "./nat-options.js";

/** What the rules depend on. All names are plain: letters, digits, '.', '_' and '-'. */
export interface Wish {
  bridge: string;
  subnet: Subnet;
  isolated: boolean;
  translate: boolean;
  uplink: string | undefined;
  allowHost: readonly HostAccess[];
}

/** A rule of ours in a chain of somebody else's, in the words of the command that manages it. */
export interface AcceptRule {
  /** What it says, as a number; part of its comment. */
  id: string;
  text: string;
}

/** The table's name, in family ip. */
export function tableName(bridge: string): string {
  return `forknet-${bridge}`;
}

/** Whether a table is called like a network's, this one's or another's. */
export function isNetworksTable(name: string): boolean {
  return name.startsWith("forknet-");
}

/** Stands in the comment of everything that is this network's. */
export function mark(bridge: string): string {
  return `forknet1:nat:${bridge}`;
}

/**
 * What answers goes on. What asks is judged anew at every packet: a connection that came about while
 * the rules were away must not outlive their absence.
 */
const ANSWERS = "ct state established,related ct direction reply accept";

/**
 * The whole table, as a block for `nft -f`. Guests are what comes in through the bridge. Dropped
 * here is dropped for good; accepted here, a packet still has to pass the other tables' chains.
 */
export function tableText(wish: Wish): string {
  const { bridge, isolated, translate, uplink, allowHost } = wish;
  const subnet = `${formatIpv4(wish.subnet.network)}/${wish.subnet.prefixLength}`;
  const outside = uplink === undefined ? `!= "${bridge}"` : `"${uplink}"`;
  const chains = {
    input: [
      "type filter hook input priority filter; policy accept;",
      `iifname "${bridge}" jump to-host`,
    ],
    "to-host": [
      ANSWERS,
      `ip daddr ${formatIpv4(wish.subnet.gateway)} accept`,
      ...allowHost.map(hostRule),
      "drop",
    ],
    // A connection that came about without the rules is not known, and would be taken for the host's
    // own when the host is heard first.
    output: [
      "type filter hook output priority filter; policy accept;",
      `oifname "${bridge}" ct state new tcp flags & (fin | syn | rst | ack) != syn drop`,
    ],
    forward: [
      "type filter hook forward priority filter; policy accept;",
      `iifname "${bridge}" jump from-guests`,
      `oifname "${bridge}" jump to-guests`,
    ],
    "from-guests": [
      ANSWERS,
      "ct state invalid jump invalid-from-guests",
      // With bridge-nf-call-iptables, bridged frames come by here, too.
      ...(isolated ? [`oifname "${bridge}" ip daddr ${subnet} drop`] : []),
      `oifname "${bridge}" accept`,
      ...(uplink === undefined ? [] : [`oifname != "${uplink}" drop`]),
      "accept",
    ],
    // A chain of its own: what becomes of a flow that nobody remembers is decided here alone.
    // A fork's copy of a connection that its snapshot had is one: it ends at once instead of hanging.
    "invalid-from-guests": [
      ...(translate ? ["meta l4proto tcp reject with tcp reset"] : []),
      "drop",
    ],
    "to-guests": [
      ANSWERS,
      // A port that the operator publishes by a rule of his own.
      "ct status dnat accept",
      "drop",
    ],
    postrouting: [
      "type nat hook postrouting priority srcnat; policy accept;",
      `ip saddr ${subnet} ip daddr != ${subnet} oifname ${outside} masquerade`,
    ],
  };
  const bodies = Object.entries(chains).map(
    ([name, lines]) => `\tchain ${name} {\n${lines.map((line) => `\t\t${line}\n`).join("")}\t}`,
  );
  const comment = `\tcomment "${mark(bridge)}"`;
  return [`table ip ${tableName(bridge)} {`, comment, ...bodies, "}", ""].join("\n");
}

/**
 * Whether a listed table has every chain of the text that it was made of, and as many rules in each.
 * Their words are nft's own.
 */
export function isWhole(listed: string, text: string): boolean {
  const shape = (table: string) =>
    table
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "")
      .map((line) => (line.startsWith("chain ") ? line : "a line"));
  return `${shape(listed)}` === `${shape(text)}`;
}

/** Makes or replaces the table in one transaction; undefined: there shall be none. */
export function replaceTable(bridge: string, text: string | undefined): string {
  const name = `table ip ${tableName(bridge)}`;
  // Deleting what is not there fails the transaction; adding what is there does not.
  return `add ${name}\ndelete ${name}\n${text ?? ""}`;
}

/** For a chain that nft manages. */
export function nftAccepts(wish: Wish): AcceptRule[] {
  const { bridge, uplink } = wish;
  const from = `iifname "${bridge}"`;
  const rules = [
    ...(uplink === undefined
      ? [from]
      : [`${from} oifname "${uplink}"`, `${from} oifname "${bridge}"`]),
    `oifname "${bridge}" ct state established,related`,
    `oifname "${bridge}" ct status dnat`,
  ];
  return rules.map((rule) => {
    const id = idOf(rule);
    return { id, text: `${rule} accept comment "${mark(bridge)}:${id}"` };
  });
}

/** For a chain that iptables manages. */
export function iptablesAccepts(wish: Wish): AcceptRule[] {
  const { bridge, uplink } = wish;
  const from = `-i ${bridge}`;
  const rules = [
    ...(uplink === undefined ? [from] : [`${from} -o ${uplink}`, `${from} -o ${bridge}`]),
    `-o ${bridge} -m conntrack --ctstate RELATED,ESTABLISHED`,
    // Not in the rule above: nft lists the two together as only the second.
    `-o ${bridge} -m conntrack --ctstate DNAT`,
  ];
  return rules.map((rule) => {
    const id = idOf(rule);
    return { id, text: `${rule} -m comment --comment ${mark(bridge)}:${id} -j ACCEPT` };
  });
}

function hostRule(access: HostAccess): string {
  if (access.kind === "icmp") return "ip protocol icmp accept";
  if (access.kind === "address") return `ip daddr ${access.ip} accept`;
  const { protocol, first, last } = access;
  return `${protocol} dport ${first === last ? first : `${first}-${last}`} accept`;
}

function idOf(rule: string): string {
  return createHash("sha256").update(rule).digest("hex").slice(0, 8);
}
