// The chains of others that forwarded packets pass: in which of them accept rules have to stand, where,
// and which of ours they hold. Read-only.

import { readFileSync } from "node:fs";
import { must, refused, run } from "./command.js";
import { type ListedChain, type ListedRule, parseIptables, parseNftTable } from "./listing.js";
import { findPlace } from "./place.js";
import { isNetworksTable, tableName } from "./rules.js";

/** The command that a chain belongs to. */
export type Tool = "nft" | "iptables-nft" | "iptables-legacy";

/** A chain, and what it means for the network's packets. */
export interface Chain {
  tool: Tool;
  /** As the tool names it: "inet filter forward", or a chain of iptables' table filter. */
  name: string;
  /** All of them, in order. */
  rules: readonly ListedRule[];
  /**
   * Accept rules have to be here, after so many rules of others, or packets are dropped by what
   * decides about everything. Undefined: none have to.
   */
  place: number | undefined;
}

/** The rule of others that has so many of them before it, and its number from 0; undefined at the end. */
export function othersRule(
  rules: readonly ListedRule[],
  after: number,
): (ListedRule & { at: number }) | undefined {
  const others = rules.map((rule, at) => ({ ...rule, at })).filter((rule) => !rule.isNetworks);
  return others[after];
}

interface Table {
  family: string;
  table: string;
}

interface ForwardChain extends Table {
  name: string;
  hook?: string;
}

const FORWARD = "FORWARD";
/** Seconds for whoever holds the lock of the older iptables; the newer has none and takes the option. */
export const WAIT = ["-w", "5"] as const;

/** Every chain that could hold rules of ours, whoever manages it. */
export async function readChains(
  bridge: string,
): Promise<{ chains: Chain[]; hasOtherNetworks: boolean }> {
  const own = tableName(bridge);
  const others = (await listForwardChains()).filter(
    ({ family, table }) => family !== "ip" || table !== own,
  );
  const tables = new Map(others.map((one) => [`${one.family} ${one.table}`, one]));
  const chains: Chain[] = [];
  for (const table of tables.values()) {
    const isIptables = table.family === "ip" && table.table === "filter";
    const hasForward = isIptables && others.some(({ name }) => name === FORWARD);
    const found = hasForward ? readShared(table, bridge) : readNftTable(table, bridge);
    chains.push(...(await found));
  }
  if (isLegacyInUse()) chains.push(...(await readLegacy(bridge)));
  return { chains, hasOtherNetworks: others.some(({ table }) => isNetworksTable(table)) };
}

/** What has the names of iptables' table: iptables no longer reads it with a rule of nft's in it. */
async function readShared(table: Table, bridge: string): Promise<Chain[]> {
  const ended = await run("iptables-nft", ["-S"]).catch(async (error: unknown) => {
    const byNft = await readNftTable(table, bridge);
    if (byNft.some(({ place }) => place !== undefined)) throw error;
    return byNft;
  });
  if (Array.isArray(ended)) return ended;
  if (/incompatible/.test(ended.complaint)) return readNftTable(table, bridge);
  if (ended.status !== 0) throw refused("iptables-nft", ["-S"], ended);
  return withPlaces("iptables-nft", parseIptables(ended.output, bridge));
}

async function readLegacy(bridge: string): Promise<Chain[]> {
  const text = await must("iptables-legacy", [...WAIT, "-S"]);
  return withPlaces("iptables-legacy", parseIptables(text, bridge));
}

async function readNftTable({ family, table }: Table, bridge: string): Promise<Chain[]> {
  const text = await must("nft", ["-a", "-s", "-t", "list", "table", family, table]);
  const chains = withPlaces("nft", parseNftTable(text, bridge));
  return chains.map((chain) => ({ ...chain, name: `${family} ${table} ${chain.name}` }));
}

async function listForwardChains(): Promise<ForwardChain[]> {
  const { nftables } = JSON.parse(await must("nft", ["-j", "list", "chains"])) as {
    nftables: { chain?: ForwardChain }[];
  };
  return nftables.flatMap(({ chain }) =>
    chain?.hook === "forward" && (chain.family === "ip" || chain.family === "inet") ? [chain] : [],
  );
}

function withPlaces(tool: Tool, listed: readonly ListedChain[]): Chain[] {
  const effects = new Map(
    listed.map(({ name, rules }) => [
      name,
      rules.filter(({ isNetworks }) => !isNetworks).map(({ effect }) => effect),
    ]),
  );
  const places = new Map<string, number>();
  for (const { name, base } of listed) {
    const place = base && findPlace(effects, name, base.drops);
    if (place) places.set(place.chain, place.after);
  }
  return listed.map(({ name, rules }) => ({ tool, name, rules, place: places.get(name) }));
}

/** Tables of the older iptables, which nft does not show; looking at them with it would make one. */
export function isLegacyInUse(): boolean {
  try {
    const names = readFileSync("/proc/thread-self/net/ip_tables_names", "utf8");
    return names.split("\n").includes("filter");
  } catch {
    // Not in this kernel, or not for this user to see.
    return false;
  }
}
