// The networks of this network namespace, found by aliases and names of links; nobody has to run.
// Read-only, needs no privilege.

import { ForknetError } from "../errors.js";
import { contains, formatIpv4, parseSubnet, type Subnet } from "../identity/ipv4.js";
import type { LinkInfo } from "../kernel/binding.js";
import type { Kernel } from "../kernel/kernel.js";

/** A network as its links tell. One of the two may have been deleted. */
export interface KernelNetwork {
  bridge: string;
  bridgeLink: LinkInfo | undefined;
  shaper: LinkInfo | undefined;
}

export function networksInKernel(kernel: Pick<Kernel, "links">): KernelNetwork[] {
  const links = kernel.links();
  const ownBridges = links.filter(({ kind, alias }) => kind === "bridge" && subnetIn(alias));
  const shapers = new Map(
    links.flatMap((link) => {
      const bridge = link.kind === "ifb" && bridgeOf(link, ownBridges);
      return bridge ? [[bridge, link] as const] : [];
    }),
  );
  const bridges = new Set([...shapers.keys(), ...ownBridges.map(({ name }) => name)]);
  return [...bridges].sort().map((bridge) => ({
    bridge,
    bridgeLink: links.find(({ name, kind }) => name === bridge && kind === "bridge"),
    shaper: shapers.get(bridge),
  }));
}

/** By its alias or, where somebody changed that, by its name, which says the gateway. */
function bridgeOf({ name, alias }: LinkInfo, ownBridges: readonly LinkInfo[]): string | undefined {
  const named = /^forknet1 \/shaper (\S+)/.exec(alias)?.[1];
  const gateway = /^fku([0-9a-f]{8})$/.exec(name)?.[1];
  if (named !== undefined || gateway === undefined) return named;
  const ip = Number.parseInt(gateway, 16);
  return ownBridges.find((bridge) => {
    const cidr = subnetIn(bridge.alias);
    return cidr !== undefined && contains(parseSubnet(cidr, undefined), ip);
  })?.name;
}

/** "10.100.0.0/16" in the alias of a bridge of ours. */
function subnetIn(alias: string): string | undefined {
  return /^forknet1 \/bridge (\S+)$/.exec(alias)?.[1];
}

/** From the shaper's name, the bridge's alias and its address. Throws CONFLICT when they do not tell. */
export function subnetOf(
  kernel: Pick<Kernel, "addresses">,
  { bridge, bridgeLink, shaper }: KernelNetwork,
): Subnet {
  const gateway = shaper && Number.parseInt(shaper.name.slice("fku".length), 16);
  const cidr = subnetIn(bridgeLink?.alias ?? "");
  const addresses = bridgeLink ? kernel.addresses(bridgeLink.ifindex) : [];
  const own = cidr
    ? addresses.find(({ ip }) => contains(parseSubnet(cidr, undefined), ip))
    : addresses.find(({ ip }) => ip === gateway);
  const address = gateway ?? own?.ip;
  if (cidr) return parseSubnet(cidr, address === undefined ? undefined : formatIpv4(address));
  if (!own) {
    const text = `what is left of the network on ${bridge} does not tell its subnet: start its agent`;
    throw new ForknetError("ERR_FORKNET_CONFLICT", text);
  }
  const mask = (0xffffffff << (32 - own.prefixLength)) >>> 0;
  const network = formatIpv4((own.ip & mask) >>> 0);
  return parseSubnet(`${network}/${own.prefixLength}`, formatIpv4(own.ip));
}
