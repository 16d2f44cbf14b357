// Whether what an alias claims fits what the kernel holds of that very TAP: whoever may set an alias
// cannot be asked whose a TAP is. A bridge that was made anew holds nothing, and contradicts nothing.

import type { NetworkFacts } from "../facts.js";
import { minorOfLeaf } from "../identity/class-pool.js";
import { contains, isForGuests, macOf, type Subnet } from "../identity/ipv4.js";
import { type Kernel, NUD_NOARP, NUD_PERMANENT } from "../kernel/kernel.js";
import type { Lease } from "../lease/lease.js";

/** What the alias of a TAP says. */
export interface Claim {
  ifindex: number;
  lease: Lease;
}

/** No two guests have the same of these. */
const UNIQUE = ["instanceId", "instanceName", "ip", "mac", "classMinor"] as const;

/** Those that nothing contradicts: neither what is in the kernel nor another of them. */
export function provedClaims(
  kernel: Kernel,
  facts: Pick<NetworkFacts, "bridge" | "shaper">,
  subnet: Subnet,
  claims: readonly Claim[],
): Claim[] {
  const fits = fitsKernel(kernel, facts, subnet);
  const fitting = claims.filter(fits);
  const contested = UNIQUE.map((key) => {
    const values = fitting.map(({ lease }) => lease[key]);
    return { key, values: new Set(values.filter((value, i) => values.indexOf(value) !== i)) };
  });
  return fitting.filter(
    ({ lease }) => !contested.some(({ key, values }) => values.has(lease[key])),
  );
}

function fitsKernel(
  kernel: Kernel,
  { bridge, shaper }: Pick<NetworkFacts, "bridge" | "shaper">,
  subnet: Subnet,
): (claim: Claim) => boolean {
  const entries = kernel
    .fdb(bridge.ifindex)
    .filter(({ state }) => state & (NUD_NOARP | NUD_PERMANENT));
  const bound = gather(
    entries.filter(({ state }) => state & NUD_NOARP).map(({ ifindex, mac }) => [ifindex, mac]),
  );
  const ports = gather(entries.map(({ ifindex, mac }) => [mac, ifindex]));
  const neighbors = kernel
    .neighbors(bridge.ifindex)
    .filter(({ ip, state }) => state & NUD_PERMANENT && contains(subnet, ip));
  const macs = new Map(neighbors.map(({ ip, mac }) => [ip, mac]));
  const known = new Set(macs.values());
  const classes = kernel.classes(shaper.ifindex);
  const notGuests = new Set(
    classes.flatMap(({ handle, parent, leaf }) => [
      parent & 0xffff,
      ...(leaf !== 0 && minorOfLeaf(leaf) !== (handle & 0xffff) ? [handle & 0xffff] : []),
    ]),
  );
  return ({ ifindex, lease: { ip, mac, classMinor } }) => {
    if (!isForGuests(subnet, ip) || mac === macOf(subnet.gateway)) return false;
    if (notGuests.has(classMinor)) return false;
    if (bound.get(ifindex)?.has(mac) === false) return false;
    // Nobody else's.
    if ([...(ports.get(mac) ?? [])].some((port) => port !== ifindex)) return false;
    // With a neighbour of its MAC it has the address of that one.
    return macs.has(ip) ? macs.get(ip) === mac : !known.has(mac);
  };
}

function gather(pairs: readonly [number, number][]): Map<number, Set<number>> {
  const gathered = new Map<number, Set<number>>();
  for (const [key, value] of pairs) gathered.set(key, (gathered.get(key) ?? new Set()).add(value));
  return gathered;
}
