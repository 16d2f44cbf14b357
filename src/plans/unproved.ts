// TAPs on our bridge that were made as slots, for they have the guard, but that nothing proves to be
// ours by now: somebody changed an alias, and the lease map has none of them or may not be read.
// A machine may use one. They are told and left alone, and nobody gets what they have.

import type { NetworkFacts } from "../facts.js";
import { contains, type Subnet } from "../identity/ipv4.js";
import type { LinkInfo } from "../kernel/binding.js";
import { type Kernel, NUD_NOARP, NUD_PERMANENT } from "../kernel/kernel.js";
import type { Ipv4, Mac } from "../kernel/messages.js";
import { addressInAlias } from "../lease/alias.js";
import type { Obstacle } from "./finding.js";
import { hasGuard } from "./ownership.js";

export interface UnprovedTap {
  tapName: string;
  ifindex: number;
  /**
   * Of the neighbour and the static forwarding entry that a slot is made with, as far as they are
   * there; the address else as its alias says.
   */
  ip?: Ipv4;
  mac?: Mac;
}

/** `own` are those that are proved; `doubtful` those of them whose alias cannot be true. */
export function findUnproved(
  kernel: Kernel,
  { bridge: { ifindex: bridge } }: Pick<NetworkFacts, "bridge">,
  subnet: Subnet,
  own: readonly LinkInfo[],
  doubtful: ReadonlySet<number>,
): UnprovedTap[] {
  const known = new Set(own.map(({ ifindex }) => ifindex));
  const unproved = [
    ...own.filter(({ ifindex }) => doubtful.has(ifindex)),
    ...kernel
      .links({ kind: "tun", master: bridge })
      .filter((link) => !known.has(link.ifindex) && hasGuard(kernel, link)),
  ];
  if (unproved.length === 0) return [];
  const bound = kernel.fdb(bridge).filter(({ state }) => state & NUD_NOARP);
  const neighbors = kernel
    .neighbors(bridge)
    .filter(({ ip, state }) => state & NUD_PERMANENT && contains(subnet, ip));
  return unproved.map(({ name: tapName, ifindex, alias }) => {
    const mac = bound.find((entry) => entry.ifindex === ifindex)?.mac;
    const ip = neighbors.find((entry) => entry.mac === mac)?.ip ?? addressInAlias(alias);
    return {
      tapName,
      ifindex,
      ...(ip === undefined ? {} : { ip }),
      ...(mac === undefined ? {} : { mac }),
    };
  });
}

export function unprovedObstacle(tapName: string, bridge: string): Obstacle {
  return {
    what: "tap",
    text: `${tapName} on ${bridge} has the guard of a guest or a warm slot, but neither lease nor alias proves whose: it is left alone, and nobody gets its address`,
    mend: `ip link set dev ${tapName} alias 'AS IT WAS' and open the network again or, if no machine uses it, ip link delete dev ${tapName}`,
  };
}
