// Brings the rules in the kernel from one state to another: the network's own table first and by
// itself, which nobody else can be in the way of, then the rules in other chains.

import { type Chain, isLegacyInUse, othersRule, readChains, type Tool, WAIT } from "./chains.js";
import { type Command, must, refused, run } from "./command.js";
import { type AcceptRule, mark, replaceTable, tableName } from "./rules.js";

/** What is in the kernel. */
export interface FirewallState {
  /** The own table as nft lists it; undefined when there is none. */
  table: string | undefined;
  chains: readonly Chain[];
  /** Tables of other networks are here. */
  hasOtherNetworks: boolean;
}

/** What should be. */
export interface FirewallTarget {
  table: string | undefined;
  /** In the order in which they stand. */
  rulesOf: (chain: Chain) => readonly PlacedRule[];
}

export interface PlacedRule extends AcceptRule {
  /** So many rules of others come before it. */
  after: number;
}

export const NOTHING: FirewallTarget = { table: undefined, rulesOf: () => [] };

const RESTORE: Record<Exclude<Tool, "nft">, Command> = {
  "iptables-nft": "iptables-nft-restore",
  "iptables-legacy": "iptables-legacy-restore",
};

export async function readFirewall(bridge: string): Promise<FirewallState> {
  // One after the other: when one fails, nothing runs on behind the caller's back.
  const table = await readTable(bridge);
  return { table, ...(await readChains(bridge)) };
}

/** The own table as nft lists it, without what changes by itself. */
export async function readTable(bridge: string): Promise<string | undefined> {
  const args = ["-s", "list", "table", "ip", tableName(bridge)];
  const ended = await run("nft", args);
  if (ended.status === 0) return ended.output;
  if (/no such file or directory/i.test(ended.complaint)) return undefined;
  throw refused("nft", args, ended);
}

/** All rules of the host, but for what changes by itself. A rule that changes gets another handle. */
export async function readEverything(): Promise<string> {
  const listed = await must("nft", ["-a", "-s", "-t", "list", "ruleset"]);
  return isLegacyInUse() ? listed + (await must("iptables-legacy", [...WAIT, "-S"])) : listed;
}

/** Whether a listed table is this network's, not one that somebody gave the same name. */
export function isOwnTable(text: string, bridge: string): boolean {
  return text.includes(`comment "${mark(bridge)}"`);
}

/** A state as a target: the way back. */
export function asTarget({ table, chains }: FirewallState): FirewallTarget {
  const former = ({ tool, name }: Chain) =>
    chains.find((one) => one.tool === tool && one.name === name);
  return { table, rulesOf: (chain) => heldBy(former(chain)) };
}

/** The network's rules in a chain, where they stand. */
export function heldBy(chain: Chain | undefined): PlacedRule[] {
  let after = 0;
  return (chain?.rules ?? []).flatMap(({ own, isNetworks }) => {
    if (!isNetworks) after++;
    return own ? [{ ...own, after }] : [];
  });
}

/** Of these chains, those whose rules are not as the target has them. */
export function differing(chains: readonly Chain[], { rulesOf }: FirewallTarget): Chain[] {
  const text = (rules: readonly PlacedRule[]) => rules.map(({ id, after }) => `${id} ${after}`);
  return chains.filter((chain) => `${text(heldBy(chain))}` !== `${text(rulesOf(chain))}`);
}

/**
 * The own table by itself, then each tool's changes, each done together or not at all. Resolves with how many transactions nftables
 * has had of it. Rejects at the first tool that refuses; then those before it have changed theirs.
 */
export async function bring(
  bridge: string,
  current: FirewallState,
  target: FirewallTarget,
): Promise<number> {
  const changes = differing(current.chains, target);
  const linesOf = (tool: Tool) =>
    changes.filter((chain) => chain.tool === tool).flatMap((chain) => changesOf(chain, target));
  const isTable = current.table !== undefined || target.table !== undefined;
  const scripts = [isTable ? replaceTable(bridge, target.table) : "", linesOf("nft").join("\n")];
  let made = 0;
  for (const script of scripts) {
    if (script === "") continue;
    await must("nft", ["-f", "-"], `${script}\n`);
    made++;
  }
  for (const tool of ["iptables-nft", "iptables-legacy"] as const) {
    const lines = linesOf(tool);
    if (lines.length === 0) continue;
    const input = ["*filter", ...lines, "COMMIT", ""].join("\n");
    await must(RESTORE[tool], [...WAIT, "--noflush"], input);
    if (tool === "iptables-nft") made++;
  }
  return made;
}

function changesOf(chain: Chain, { rulesOf }: FirewallTarget): string[] {
  const { tool, name, rules } = chain;
  const isNft = tool === "nft";
  // Also a rule that is there twice goes, and comes once.
  const away = rules.flatMap(({ own, handle }) => {
    if (!own) return [];
    return [isNft ? `delete rule ${name} handle ${handle}` : `-D ${name} ${own.text}`];
  });
  // Rules of other networks have the same place, and stay before ours.
  const staying = rules.filter(({ own }) => !own);
  const add = rulesOf(chain).map(({ text, after }, inserted) => {
    const next = othersRule(staying, after);
    if (!next) return isNft ? `add rule ${name} ${text}` : `-A ${name} ${text}`;
    return isNft
      ? `insert rule ${name} handle ${next.handle} ${text}`
      : `-I ${name} ${next.at + 1 + inserted} ${text}`;
  });
  return [...away, ...add];
}
