// Rules of others that catch the bridge's packets: nftables rules (and what ebtables and iptables
// make of them today) that name the bridge, and forward chains that drop what they do not know.

import { about, type Finding } from "./finding.js";
import type { Scene } from "./host.js";
import { nft } from "./nft.js";

/** Names of our own tables, and what the comments of our rules in others start with. */
const OWN_TABLE = "forknet-";
const OWN_COMMENT = "forknet1:";

const rules = about(
  "bridge.foreign-rules",
  "they drop, redirect or count guests' packets outside of what forknet knows",
);
const forward = about(
  "host.forward-policy",
  "guests' packets to the outside are dropped unless a rule accepts them, as the option `nat` adds",
);

interface Chain {
  family: string;
  table: string;
  name: string;
  handle: number;
  hook?: string;
  policy?: string;
}

interface Rule {
  family: string;
  table: string;
  chain: string;
  handle: number;
  comment?: string;
}

type Entry = { chain?: Chain; rule?: Rule };

export function checkFirewall({ bridgeName }: Scene): Finding[] {
  const answer = nft(["-j", "list", "ruleset"]);
  if (!("output" in answer)) {
    // Without the command there may be rules all the same; that it is missing is told elsewhere.
    return answer.isMissing
      ? []
      : [rules.warning(`nft lists no rules: ${answer.complaint}`, "sudo forknet doctor")];
  }
  const listed = JSON.parse(answer.output) as { nftables: Entry[] };
  const entries = listed.nftables.filter(({ rule, chain }) => {
    const { table } = rule ?? chain ?? { table: OWN_TABLE };
    return !table.startsWith(OWN_TABLE);
  });
  return [foreignRules(entries, bridgeName), forwardPolicy(entries, bridgeName)];
}

function naming(entries: readonly Entry[], bridgeName: string): Rule[] {
  return entries.flatMap(({ rule }) =>
    rule && JSON.stringify(rule).includes(`"${bridgeName}"`) ? [rule] : [],
  );
}

function foreignRules(entries: readonly Entry[], bridgeName: string): Finding {
  const foreign = naming(entries, bridgeName).filter(
    ({ comment }) => !comment?.startsWith(OWN_COMMENT),
  );
  if (foreign.length === 0) return rules.ok(`no rule of others names ${bridgeName}`);
  const chains = new Set(foreign.map(({ family, table, chain }) => `${family} ${table} ${chain}`));
  return rules.warning(
    `${foreign.length} in ${[...chains].join(", ")} name ${bridgeName}`,
    ...[...chains].map((chain) => `nft -a list chain ${chain}   # shows the handles`),
    ...foreign.map(
      ({ family, table, chain, handle }) =>
        `nft delete rule ${family} ${table} ${chain} handle ${handle}`,
    ),
  );
}

/** A rule for the bridge in a dropping chain counts as its acceptance: what it says is told above. */
function forwardPolicy(entries: readonly Entry[], bridgeName: string): Finding {
  const dropping = entries.flatMap(({ chain }) =>
    chain?.hook === "forward" && chain.policy === "drop" && chain.family !== "bridge"
      ? [chain]
      : [],
  );
  const named = naming(entries, bridgeName);
  const closed = dropping.filter(
    ({ family, table, name }) =>
      !named.some((rule) => rule.family === family && rule.table === table && rule.chain === name),
  );
  if (closed.length === 0) return forward.ok("no forward chain drops the bridge's packets");
  const texts = closed.map(({ family, table, name }) => `${family} ${table} ${name}`);
  return forward.warning(
    `policy drop in ${texts.join(", ")}`,
    ...texts.flatMap((chain) => [
      `nft insert rule ${chain} iifname ${bridgeName} accept`,
      `nft insert rule ${chain} oifname ${bridgeName} accept`,
    ]),
  );
}
