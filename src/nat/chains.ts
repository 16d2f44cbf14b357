// The chains of others that forwarded packets pass: which of them drop what they do not know, and
// which accept rules of ours they hold. Read-only.

import { readFileSync } from "node:fs";
import { must, refused, run } from "./command.js";
import { type AcceptRule, isNetworksTable, mark, tableName } from "./rules.js";

/** The command that a chain belongs to. */
export type Tool = "nft" | "iptables-nft" | "iptables-legacy";

export interface HeldRule extends AcceptRule {
  /** nft's number of it; iptables deletes a rule by its text. */
  handle?: string;
}

/** A chain, and what it means for the network's packets. */
export interface Chain {
  tool: Tool;
  /** As the tool names it: "inet filter forward", or a chain of iptables' table filter. */
  name: string;
  /** An accept rule has to be here, or packets are dropped. */
  drops: boolean;
  held: readonly HeldRule[];
}

interface ListedChain {
  family: string;
  table: string;
  name: string;
  hook?: string;
  policy?: string;
}

/** Docker runs it first and never empties it. */
const DOCKER_USER = "DOCKER-USER";
const FORWARD = "FORWARD";
/** Seconds for whoever holds the lock of the older iptables; the newer has none and takes the option. */
export const WAIT = ["-w", "5"] as const;

/** Every chain that could hold rules of ours, whoever manages it. */
export async function readChains(
  bridge: string,
): Promise<{ chains: Chain[]; hasOtherNetworks: boolean }> {
  const own = tableName(bridge);
  const others = (await listForwardChains()).filter(({ table }) => table !== own);
  const chains = [];
  for (const one of others) {
    const isIptables = one.family === "ip" && one.table === "filter" && one.name === FORWARD;
    chains.push(
      ...(isIptables ? await readShared(one, bridge) : [await readNftChain(one, bridge)]),
    );
  }
  if (isLegacyInUse()) {
    const text = await must("iptables-legacy", [...WAIT, "-S"]);
    chains.push(...iptablesChains("iptables-legacy", text, bridge));
  }
  return { chains, hasOtherNetworks: others.some(({ table }) => isNetworksTable(table)) };
}

/** What has the names of iptables' table: iptables no longer reads it with a rule of nft's in it. */
async function readShared(one: ListedChain, bridge: string): Promise<Chain[]> {
  const byNft = await readNftChain(one, bridge);
  const ended = await run("iptables-nft", ["-S"]).catch((error: unknown) => {
    if (byNft.drops) throw error;
    return undefined;
  });
  if (ended === undefined || /incompatible/.test(ended.complaint)) return [byNft];
  if (ended.status !== 0) throw refused("iptables-nft", ["-S"], ended);
  return iptablesChains("iptables-nft", ended.output, bridge);
}

async function listForwardChains(): Promise<ListedChain[]> {
  const { nftables } = JSON.parse(await must("nft", ["-j", "list", "chains"])) as {
    nftables: { chain?: ListedChain }[];
  };
  return nftables.flatMap(({ chain }) =>
    chain?.hook === "forward" && (chain.family === "ip" || chain.family === "inet") ? [chain] : [],
  );
}

async function readNftChain(
  { family, table, name, policy }: ListedChain,
  bridge: string,
): Promise<Chain> {
  const path = [family, table, name];
  const text = await must("nft", ["-a", "-s", "list", "chain", ...path]);
  const lines = text.split("\n").map((line) => line.trim());
  const ours = new RegExp(
    `^(.* comment "${escaped(mark(bridge))}:([0-9a-f]{8})") # handle (\\d+)$`,
  );
  const held = lines.flatMap((line) => {
    const [, rule, id, handle] = ours.exec(line) ?? [];
    return rule && id && handle ? [{ id, text: rule, handle }] : [];
  });
  // "accept" by policy, with a last rule that says otherwise: firewalld's way.
  const endsInDrop = lines.some((line) => /^(counter )?(drop|reject\b[^"]*) # handle/.test(line));
  return { tool: "nft", name: path.join(" "), drops: policy === "drop" || endsInDrop, held };
}

/** Of what `iptables -S` says of the table filter. */
function iptablesChains(tool: Tool, listed: string, bridge: string): Chain[] {
  const lines = listed.split("\n");
  const drops = lines.some((line) => /^-P FORWARD DROP|^-A FORWARD -j (DROP|REJECT)/.test(line));
  const hasDocker = lines.includes(`-A ${FORWARD} -j ${DOCKER_USER}`);
  const ours = new RegExp(
    `^-A (\\S+) (.* --comment "?${escaped(mark(bridge))}:([0-9a-f]{8})"? .*)$`,
  );
  const rules = lines.flatMap((line) => {
    const [, chain, text, id] = ours.exec(line) ?? [];
    return chain && text && id ? [{ chain, rule: { id, text } }] : [];
  });
  const chain = (name: string, isPlace: boolean): Chain => ({
    tool,
    name,
    drops: drops && isPlace,
    held: rules.filter((one) => one.chain === name).map(({ rule }) => rule),
  });
  const user = lines.includes(`-N ${DOCKER_USER}`) ? [chain(DOCKER_USER, hasDocker)] : [];
  return [...user, chain(FORWARD, !hasDocker)];
}

/** Tables of the older iptables, which nft does not show; looking at them with it would make one. */
function isLegacyInUse(): boolean {
  try {
    const names = readFileSync("/proc/thread-self/net/ip_tables_names", "utf8");
    return names.split("\n").includes("filter");
  } catch {
    // Not in this kernel, or not for this user to see.
    return false;
  }
}

function escaped(text: string): string {
  return text.replace(/[.]/g, "\\.");
}
