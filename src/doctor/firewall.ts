// Rules of others that catch the bridge's packets: nftables rules (and what ebtables and iptables
// make of them today) that name the bridge, and forward chains that drop what they do not know.

import { ForknetError } from "../errors.js";
import { type Chain, othersRule, readChains } from "../nat/chains.js";
import { must } from "../nat/command.js";
import { heldBy } from "../nat/firewall.js";
import { mark, tableName } from "../nat/rules.js";
import { quoted } from "../shell.js";
import { about, type Finding } from "./finding.js";
import type { Scene } from "./host.js";

const rules = about(
  "bridge.foreign-rules",
  "they drop, redirect or count guests' packets outside of what forknet knows",
);
const forward = about(
  "host.forward-policy",
  "guests' packets to the outside are dropped unless a rule accepts them, as the option `nat` adds",
);

/** As `nft -j` lists it. */
interface Rule {
  family: string;
  table: string;
  chain: string;
  handle: number;
  /** Of rules that nft itself made. */
  comment?: string;
}

export async function checkFirewall({ bridgeName }: Scene): Promise<Finding[]> {
  try {
    const own = tableName(bridgeName);
    const naming = await rulesNaming(bridgeName);
    const { chains } = await readChains(bridgeName);
    return [
      foreignRules(
        naming.filter(({ table }) => table !== own),
        chains,
        bridgeName,
      ),
      forwardPolicy(chains, naming, bridgeName),
    ];
  } catch (error) {
    if (!(error instanceof ForknetError)) throw error;
    const { code, message } = error;
    // Without the command there may be rules all the same; that it is missing is told elsewhere.
    if (code === "ERR_FORKNET_UNSUPPORTED") return [];
    return [rules.warning(`the rules cannot be listed: ${message}`, "sudo forknet doctor")];
  }
}

async function rulesNaming(bridgeName: string): Promise<Rule[]> {
  const { nftables } = JSON.parse(await must("nft", ["-j", "list", "ruleset"])) as {
    nftables: { rule?: Rule }[];
  };
  return nftables.flatMap(({ rule }) =>
    rule && JSON.stringify(rule).includes(`"${bridgeName}"`) ? [rule] : [],
  );
}

/** Rules of ours in a chain of iptables are told by their number: nft does not print their comment. */
function foreignRules(
  named: readonly Rule[],
  chains: readonly Chain[],
  bridgeName: string,
): Finding {
  const unmarked = named.filter(({ comment }) => !comment?.startsWith(mark(bridgeName)));
  const texts: string[] = [];
  const mend: string[] = [];
  for (const place of new Set(unmarked.map(placeOf))) {
    const inChain = unmarked.filter((rule) => placeOf(rule) === place);
    const chain = chains.find(({ tool, name }) => tool !== "nft" && name === place);
    const ours = heldBy(chain).length;
    if (inChain.length <= ours) continue;
    texts.push(`${inChain.length - ours} in ${place}`);
    if (chain && ours > 0) mend.push(`${chain.tool} -S ${place}   # ours have a comment`);
    else
      for (const { family, table, chain: name, handle } of inChain)
        mend.push(`nft delete rule ${family} ${table} ${name} handle ${handle}`);
  }
  return texts.length === 0
    ? rules.ok(`no rule of others names ${bridgeName}`)
    : rules.warning(`rules that name ${bridgeName}: ${texts.join(", ")}`, ...mend);
}

/** As a Chain is named. */
function placeOf({ family, table, chain }: Rule): string {
  return family === "ip" && table === "filter" ? chain : `${family} ${table} ${chain}`;
}

/** A rule for the bridge in a dropping chain counts as its acceptance: what it says is told above. */
function forwardPolicy(
  chains: readonly Chain[],
  naming: readonly Rule[],
  bridgeName: string,
): Finding {
  const named = new Set(naming.map(placeOf));
  const closed = chains.filter(
    (chain) => chain.place !== undefined && heldBy(chain).length === 0 && !named.has(chain.name),
  );
  if (closed.length === 0) return forward.ok("no forward chain drops the bridge's packets");
  return forward.warning(
    `${closed.map(({ tool, name }) => `${name} (${tool})`).join(", ")} drops by default`,
    ...closed.flatMap((chain) => acceptCommands(chain, bridgeName)),
  );
}

/** Just before what drops everything, as `nat` does: what the operator decided comes first. */
function acceptCommands({ tool, name, rules, place }: Chain, bridgeName: string): string[] {
  const bridge = quoted(bridgeName);
  const next = othersRule(rules, place ?? 0);
  if (tool === "nft") {
    const how = next ? `insert rule ${name} handle ${next.handle}` : `add rule ${name}`;
    return ["iifname", "oifname"].map((way) => `nft ${how} ${way} ${bridge} accept`);
  }
  const how = next ? `-I ${name} ${next.at + 1}` : `-A ${name}`;
  return ["-i", "-o"].map((way) => `${tool} ${how} ${way} ${bridge} -j ACCEPT`);
}
