// What nft and iptables list, as far as it matters where accept rules of ours have to stand. Pure.

import type { Effect } from "./place.js";
import { type AcceptRule, mark } from "./rules.js";

export interface ListedRule {
  effect: Effect;
  /** An accept rule of this network. */
  own?: AcceptRule;
  /** Of this network, or of another one. */
  isNetworks: boolean;
  /** nft's number of it; iptables deletes a rule by its text. */
  handle?: string;
}

export interface ListedChain {
  name: string;
  /** Forwarded packets come here first; `drops`: by its policy. */
  base?: { drops: boolean };
  rules: ListedRule[];
}

/** `nft -a -s -t list table`. */
export function parseNftTable(text: string, bridge: string): ListedChain[] {
  const chains: ListedChain[] = [];
  let chain: ListedChain | undefined;
  let rule = "";
  for (const line of text.split("\n")) {
    const name = /^\tchain (\S+) \{/.exec(line)?.[1];
    if (name) {
      chain = { name, rules: [] };
      chains.push(chain);
    } else if (line === "\t}") chain = undefined;
    else if (chain && / hook forward /.test(line) && line.startsWith("\t\ttype ")) {
      chain.base = { drops: line.endsWith("policy drop;") };
    } else if (chain && !/^\t\t(?:type \S+ hook|comment ")/.test(line)) {
      // A rule may take several lines; its handle is at the end of the last.
      rule = `${rule} ${line.trim()}`.trim();
      const [, said, handle] = /^(.*) # handle (\d+)$/.exec(rule) ?? [];
      if (said === undefined || handle === undefined) continue;
      chain.rules.push({ ...ruleOf(said, nftEffect, / comment "([^"]*)"$/, bridge), handle });
      rule = "";
    }
  }
  return chains;
}

/** `iptables -S`, of which the table filter's chain FORWARD is what forwarded packets come to. */
export function parseIptables(text: string, bridge: string): ListedChain[] {
  const chains = new Map<string, ListedChain>();
  for (const line of text.split("\n")) {
    const [, policy, name, target] = /^-(?:P|(N)) (\S+)(?: (\S+))?$/.exec(line) ?? [];
    if (policy !== "N" && name === "FORWARD")
      chains.set(name, { name, base: { drops: target === "DROP" }, rules: [] });
    else if (policy === "N" && name) chains.set(name, { name, rules: [] });
  }
  for (const line of text.split("\n")) {
    const [, name = "", said = ""] = /^-A (\S+) ?(.*)$/.exec(line) ?? [];
    const effect = (rule: string) => iptablesEffect(rule, chains);
    chains
      .get(name)
      ?.rules.push(ruleOf(said, effect, /-m comment --comment (?:"([^"]*)"|(\S+)) ?/, bridge));
  }
  return [...chains.values()];
}

function ruleOf(
  said: string,
  effectOf: (rule: string) => Effect,
  commentAt: RegExp,
  bridge: string,
): ListedRule {
  const comment = commentAt.exec(said);
  const words = comment?.[1] ?? comment?.[2] ?? "";
  const id = words.startsWith(`${mark(bridge)}:`) && /:([0-9a-f]{8})$/.exec(words)?.[1];
  return {
    effect: effectOf(comment ? said.replace(comment[0], "").trim() : said),
    isNetworks: words.startsWith(mark("")),
    ...(id ? { own: { id, text: said } } : {}),
  };
}

/** What stands before a verdict without a condition; the first two hold for all that guests send. */
const NFT_STATEMENTS = [
  /^meta nfproto ipv4\b/,
  /^meta protocol ip\b/,
  /^counter(?: name \S+| packets \d+ bytes \d+)?/,
];
const NFT_LOG =
  /^log(?: prefix "(?:[^"\\]|\\.)*"| (?:level|group|snaplen|queue-threshold) \w+| flags (?:all|ether|skuid|ip options|tcp [a-z,]+))*(?= |$)/;
const NFT_LIMIT = /^limit rate (?:over )?\d+(?: \w+)?\/\w+(?: burst \d+ \w+)?/;

function nftEffect(rule: string): Effect {
  let rest = rule;
  const take = (statement: RegExp): boolean => {
    const found = statement.exec(rest);
    if (found) rest = rest.slice(found[0].length).trim();
    return found !== null;
  };
  const has = { log: false, limit: false };
  for (;;) {
    if (NFT_STATEMENTS.some(take)) continue;
    if (take(NFT_LOG)) has.log = true;
    else if (take(NFT_LIMIT)) has.limit = true;
    else break;
  }
  if (rest === "" || rest === "continue") return { kind: "note", logs: has.log };
  return has.limit ? { kind: "pass" } : nftVerdict(rest);
}

function nftVerdict(words: string): Effect {
  const [, verb, target] = /^(jump|goto) (\S+)$/.exec(words) ?? [];
  if (target) return { kind: "go", target, isGoto: verb === "goto" };
  if (words === "return") return { kind: "return" };
  if (words === "accept" || /^queue\b/.test(words)) return { kind: "end" };
  // A TCP reset is for TCP only, and ICMPv6 for IPv6.
  return /^(?:drop|reject(?: with icmpx? .*)?)$/.test(words) ? { kind: "drop" } : { kind: "pass" };
}

function iptablesEffect(rule: string, chains: ReadonlyMap<string, unknown>): Effect {
  if (rule === "") return { kind: "note", logs: false };
  const limited = /^-m limit --limit \S+(?: --limit-burst \d+)? /.exec(rule)?.[0] ?? "";
  const [, verb, target = ""] = /^-(j|g) (\S+)/.exec(rule.slice(limited.length)) ?? [];
  if (/^(?:LOG|NFLOG|ULOG)$/.test(target)) return { kind: "note", logs: true };
  if (limited !== "" || verb === undefined) return { kind: "pass" };
  if (chains.has(target)) return { kind: "go", target, isGoto: verb === "g" };
  switch (target) {
    case "DROP":
    case "REJECT":
      return { kind: "drop" };
    case "ACCEPT":
    case "QUEUE":
    case "NFQUEUE":
      return { kind: "end" };
    case "RETURN":
      return { kind: "return" };
    default:
      return { kind: "pass" };
  }
}
