// Settings of a bridge that forknet did not make and so leaves alone: what is better set by its owner,
// and what an earlier release changed there and should be set back.

import type { LinkInfo } from "../kernel/binding.js";
import { ALIAS_PREFIX } from "../lease/alias.js";
import { quoted } from "../shell.js";
import { about, type Finding } from "./finding.js";
import type { Scene } from "./host.js";

const solicit = about(
  "bridge.mcast-solicit",
  "0 keeps a scan of the guests' addresses from asking every port for each; with other hosts on the bridge it cuts this host off from them",
);
const ipv6 = about("bridge.ipv6", "without IPv6 on the bridge this host has none behind its ports");
const redirects = about(
  "bridge.send-redirects",
  "the host tells guests of routers behind the bridge, so that their packets pass it by",
);

export function checkForeignBridge({ host, netlink, bridge }: Scene): Finding[] {
  if (!bridge || bridge.alias.startsWith(ALIAS_PREFIX)) return [];
  const isOwn = ({ kind, alias }: LinkInfo) => kind === "tun" && alias.startsWith(ALIAS_PREFIX);
  const others = netlink.links({ master: bridge.ifindex }).filter((link) => !isOwn(link));
  const hasOthers = others.length > 0;
  /** A link's name may hold dots, and sysctl(8) takes slashes as well. */
  const judge = (
    { ok, warning }: ReturnType<typeof about>,
    setting: string,
    { isRight, to }: { isRight: (value: number) => boolean; to: number },
  ): Finding[] => {
    const text = host.read(`/proc/sys/net/${setting}`);
    if (text === undefined) return [];
    const found = `net/${setting} is ${text}`;
    const mend = `sysctl -w ${quoted(`net/${setting}=${to}`)}`;
    return [isRight(Number(text)) ? ok(found) : warning(found, mend)];
  };
  const { name } = bridge;
  return [
    ...judge(solicit, `ipv4/neigh/${name}/mcast_solicit`, {
      isRight: (value) => value > 0 === hasOthers,
      to: hasOthers ? 3 : 0,
    }),
    ...judge(ipv6, `ipv6/conf/${name}/disable_ipv6`, {
      isRight: (value) => value === 0 || !hasOthers,
      to: 0,
    }),
    ...judge(redirects, `ipv4/conf/${name}/send_redirects`, {
      isRight: (value) => value === 0,
      to: 0,
    }),
  ];
}
