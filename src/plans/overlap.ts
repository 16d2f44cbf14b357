// What else on the host takes addresses of a subnet: other links' addresses, and routes that the
// kernel prefers to the bridge's own. Read-only: open, verify and doctor ask the same question.

import { contains, formatIpv4, type Subnet } from "../identity/ipv4.js";
import type { AddressInfo } from "../kernel/binding.js";
import type { Kernel } from "../kernel/kernel.js";
import type { Ipv4 } from "../kernel/messages.js";
import type { RouteInfo } from "../kernel/route-info.js";
import type { Obstacle } from "./finding.js";

/** The part of a Kernel that is asked. */
export type Lookup = Pick<Kernel, "addresses" | "routes" | "rules" | "link">;

const TABLE_MAIN = 254;
const TABLE_LOCAL = 255;
const FR_ACT_TO_TBL = 1;
const RTN_UNICAST = 1;
/** Route types that decide about a packet, and how `ip route` calls those that are not plain. */
const DECIDING: Readonly<Record<number, string>> = {
  [RTN_UNICAST]: "",
  2: "local ",
  6: "blackhole ",
  7: "unreachable ",
  8: "prohibit ",
  9: "throw ",
};

/** Everything of others that overlaps; the bridge's own addresses and routes do not count. */
export function findOverlaps(
  kernel: Lookup,
  bridge: number | undefined,
  subnet: Subnet,
): Obstacle[] {
  const addresses = kernel
    .addresses()
    .filter(
      ({ ifindex, ip, prefixLength }) => ifindex !== bridge && meets(subnet, ip, prefixLength),
    );
  const routes = kernel.routes().filter((route) => route.ifindex !== bridge && wins(subnet, route));
  const tables = routes.length > 0 ? askedTables(kernel) : new Set<number>();
  const start = `subnet ${formatCidr({ ...subnet, ip: subnet.network })} overlaps`;
  return [
    ...addresses.map((one) => {
      const [address, name] = [formatCidr(one), nameOf(kernel, one.ifindex)];
      const mend = `ip address del ${address} dev ${name}`;
      return { what: "address", text: `${start} ${address} on ${name}`, mend };
    }),
    ...routes
      .filter((route) => tables.has(route.table) && !isOfAddress(route, addresses))
      .map((route) => {
        const words = wordsOf(kernel, route);
        return {
          what: "route",
          text: `${start} the route ${words}`,
          mend: `ip route del ${words}`,
        };
      }),
  ];
}

/** "10.100.0.0/16" */
export function formatCidr({ ip, prefixLength }: { ip: Ipv4; prefixLength: number }): string {
  return `${formatIpv4(ip)}/${prefixLength}`;
}

/** Hosts that are neighbours under a wider prefix would take guests for neighbours, too. */
function meets(subnet: Subnet, ip: Ipv4, prefixLength: number): boolean {
  if (prefixLength >= subnet.prefixLength) return contains(subnet, ip);
  const mask = prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0;
  return (ip & mask) >>> 0 === (subnet.network & mask) >>> 0;
}

/** The kernel takes the longest prefix: a shorter one than the subnet's never wins over the bridge's. */
function wins(
  subnet: Subnet,
  { destination, prefixLength, type, table, metric }: RouteInfo,
): boolean {
  if (DECIDING[type] === undefined || prefixLength < subnet.prefixLength) return false;
  if (!contains(subnet, destination)) return false;
  // What catches the packets of a network that is away, as routing daemons do: the bridge's own route
  // has metric 0 and comes before it.
  const isFallback = type !== RTN_UNICAST && table === TABLE_MAIN && metric > 0;
  return !isFallback || prefixLength > subnet.prefixLength;
}

/** Tables that a rule names, whatever the rule asks of a packet. A VRF's own table is not among them. */
function askedTables(kernel: Lookup): Set<number> {
  const rules = kernel.rules().filter(({ action }) => action === FR_ACT_TO_TBL);
  return new Set(rules.map(({ table }) => table));
}

/** The kernel keeps an entry for each address in the local table: the address is told already. */
function isOfAddress({ table, ifindex }: RouteInfo, told: readonly AddressInfo[]): boolean {
  return table === TABLE_LOCAL && told.some((address) => address.ifindex === ifindex);
}

/** As `ip route` writes and takes it. */
function wordsOf(kernel: Lookup, route: RouteInfo): string {
  const { destination: ip, prefixLength, ifindex, table, type } = route;
  const where = ifindex === 0 ? "" : ` dev ${nameOf(kernel, ifindex)}`;
  const from = table === TABLE_MAIN ? "" : ` table ${table}`;
  return `${DECIDING[type]}${formatCidr({ ip, prefixLength })}${where}${from}`;
}

function nameOf(kernel: Lookup, ifindex: number): string {
  return kernel.link({ ifindex })?.name ?? `interface ${ifindex}`;
}
