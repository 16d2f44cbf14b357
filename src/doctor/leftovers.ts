// What other tools left on the bridge: TAPs without our alias, and limits that are not ours.

import { TBF_HANDLE } from "../facts.js";
import type { LinkInfo, QdiscInfo } from "../kernel/binding.js";
import { ALIAS_PREFIX } from "../lease/alias.js";
import { quoted } from "../shell.js";
import { about, type Finding } from "./finding.js";
import type { Scene } from "./host.js";

const ROOT = 0xffff_ffff;
/** More names than this are counted, not listed. */
const LISTED = 10;

const taps = about(
  "bridge.foreign-taps",
  "each takes a port, and none is guarded, isolated or limited by forknet",
);
const limits = about(
  "bridge.foreign-limits",
  "a second limit on the same packets: the smaller one wins, and `limits` does not show it",
);

export function checkLeftovers({ netlink, bridge }: Scene): Finding[] {
  if (!bridge) return [];
  const members = netlink.links({ master: bridge.ifindex });
  return [foreignTaps(members), foreignLimits([bridge, ...members], netlink.qdiscs())];
}

function foreignTaps(members: readonly LinkInfo[]): Finding {
  const foreign = members.filter(({ kind, alias }) => kind === "tun" && !isOurs(alias));
  if (foreign.length === 0) return taps.ok("every TAP on the bridge is forknet's");
  const idle = foreign.filter(({ lowerUp }) => !lowerUp);
  const used = foreign.filter(({ lowerUp }) => lowerUp);
  const text = [
    idle.length > 0 ? `nobody has open: ${named(idle)}` : "",
    used.length > 0 ? `in use: ${named(used)}` : "",
  ];
  return taps.warning(
    `TAPs without our alias; ${text.filter(Boolean).join("; ")}`,
    ...idle.slice(0, LISTED).map(({ name }) => `ip link delete dev ${quoted(name)}`),
    ...used
      .slice(0, LISTED)
      .map(({ name }) => `fuser -v /dev/net/tun   # whose is ${quoted(name)}?`),
  );
}

/** A TAP of ours has a TBF with our handle; nothing else on the bridge has a limit from us. */
function foreignLimits(links: readonly LinkInfo[], qdiscs: readonly QdiscInfo[]): Finding {
  const byIndex = new Map(links.map((link) => [link.ifindex, link]));
  const foreign = qdiscs.flatMap((qdisc) => {
    const link = byIndex.get(qdisc.ifindex);
    if (!link || qdisc.parent !== ROOT || !/^(tbf|htb|hfsc|cbq)$/.test(qdisc.kind)) return [];
    const isOwn = isOurs(link.alias) && link.kind === "tun" && qdisc.handle === TBF_HANDLE;
    return isOwn && qdisc.kind === "tbf" ? [] : [{ link, kind: qdisc.kind }];
  });
  if (foreign.length === 0) return limits.ok("no limit on the bridge or its ports but forknet's");
  const listed = foreign.slice(0, LISTED);
  const more = foreign.length > LISTED ? ` and ${foreign.length - LISTED} more` : "";
  return limits.warning(
    `${listed.map(({ link, kind }) => `${kind} on ${link.name}`).join(", ")}${more}`,
    ...listed.map(({ link }) => `tc qdisc delete dev ${quoted(link.name)} root`),
  );
}

function isOurs(alias: string): boolean {
  return alias.startsWith(ALIAS_PREFIX);
}

function named(links: readonly LinkInfo[]): string {
  const more = links.length > LISTED ? ` and ${links.length - LISTED} more` : "";
  return `${links
    .slice(0, LISTED)
    .map(({ name }) => name)
    .join(", ")}${more}`;
}
