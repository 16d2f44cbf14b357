// The bridge of a network: made or taken over, with a MAC that does not depend on its ports, and its
// address. What we made also gets the settings without which a thousand ports are slow or leak.

import type { NetworkFacts } from "../facts.js";
import { formatIpv4, macOf, type Subnet } from "../identity/ipv4.js";
import type { LinkInfo } from "../kernel/binding.js";
import { type Kernel, mustTalk } from "../kernel/kernel.js";
import type { Address, LinkSet, Mac } from "../kernel/messages.js";
import { ALIAS_PREFIX } from "../lease/alias.js";
import { tapMtu } from "../limits.js";
import { createLink } from "./link.js";
import { findOthers, isShared } from "./others.js";
import { type Shaper, shaperAlias } from "./shaper.js";
import { disableIpv6, multicastProbes } from "./sysctl.js";
import { type Step, sendSteps, type Undo } from "./undo.js";

/** What the bridge should be. */
export interface BridgeWish {
  name: string;
  subnet: Subnet;
  ipv6: boolean;
  /** A new bridge forwards what comes from guests; one that is there is left to nat/forwarding.ts. */
  forwards: boolean;
  /** Undefined: the one that it has. */
  mtu: number | undefined;
}

/** The bridge, the MAC that guests know as the gateway's, and the MTU of its TAPs. */
export type Bridge = NetworkFacts["bridge"] & { mac: Mac; mtu: number };

/** Returns the one that is there, which checkConflicts `found`, or makes one. */
export function provideBridge(
  kernel: Kernel,
  { name, subnet, ipv6, forwards }: Omit<BridgeWish, "mtu">,
  found: LinkInfo | undefined,
  undo: Undo,
): LinkInfo {
  const mac = macOf(subnet.gateway);
  if (found && !isHalfMade(kernel, found, mac)) return found;
  return nameBridge(kernel, found ?? createBridge(kernel, name, mac, undo), {
    alias: bridgeAlias(subnet),
    ...(ipv6 ? { addressGeneration: "none" } : {}),
    ...(forwards ? { forwarding: true } : {}),
  });
}

/**
 * Gives the bridge what the network needs of it. One that we did not make stays as it is, but for the
 * gateway's address; so does our own where others use it by now.
 */
export function settleBridge(
  kernel: Kernel,
  bridge: LinkInfo,
  { name, subnet, ipv6, mtu: wishedMtu, shaper }: Omit<BridgeWish, "forwards"> & { shaper: Shaper },
  undo: Undo,
): Bridge {
  const mac = macOf(subnet.gateway);
  const alias = bridgeAlias(subnet);
  const { ifindex } = bridge;
  const madeByUs = shaper.madeBridge;
  const others = findOthers(kernel, ifindex, subnet);
  const isExclusive = madeByUs && !isShared(others);
  const steps: Step[] = [];
  if (madeByUs && bridge.alias !== alias)
    steps.push(setting(ifindex, { alias }, { alias: bridge.alias }));
  let gatewayMac = bridge.mac;
  if (isExclusive || bridge.mac === 0) {
    gatewayMac = mac;
    if (bridge.mac !== mac) steps.push(setting(ifindex, { mac }, { mac: bridge.mac }));
  } else if (!madeByUs && others.ports.length === 0) pinMac(kernel, bridge);
  const mtu = (isExclusive ? wishedMtu : undefined) ?? tapMtu(bridge.mtu);
  // It no longer goes by its ports then.
  if (isExclusive && bridge.mtu !== mtu) steps.push(setting(ifindex, { mtu }, { mtu: bridge.mtu }));
  const address = { ifindex, ip: subnet.gateway, prefixLength: subnet.prefixLength };
  let addressAdded = !madeByUs && shaper.addressAdded;
  if (!hasAddress(kernel, address)) {
    if (!madeByUs && !addressAdded) {
      addressAdded = true;
      steps.push(rememberAddress(shaper, name));
    }
    steps.push({
      message: { op: "address.add", ...address },
      back: { op: "address.delete", ...address },
    });
  }
  if (isExclusive) steps.push(...quietSteps(bridge));
  if (isExclusive && ipv6) disableIpv6(name, undo);
  const broughtUp = !madeByUs && shaper.bridgeWasDown;
  if (!bridge.up && (madeByUs || !isShared(others)))
    steps.push(setting(ifindex, { up: true }, { up: false }));
  sendSteps(kernel, steps, name, undo);
  return { name, ifindex, madeByUs, addressAdded, broughtUp, mac: gatewayMac, mtu };
}

/**
 * An earlier process died between making it and naming it. Everything that it is made with and without
 * counts: an operator may give a bridge the same MAC.
 */
function isHalfMade(kernel: Kernel, found: LinkInfo, ownMac: Mac): boolean {
  const { ifindex, alias, up, mac, bridge } = found;
  const isBare = alias === "" && !up && mac === ownMac && bridge?.multicastSnooping === false;
  const isEmpty = () =>
    kernel.links({ master: ifindex }).length === 0 && kernel.addresses(ifindex).length === 0;
  return isBare && isEmpty();
}

type Settings = Omit<LinkSet, "op" | "ifindex">;

function setting(ifindex: number, to: Settings, from: Settings): Step {
  return {
    message: { op: "link.set", ifindex, ...to },
    back: { op: "link.set", ifindex, ...from },
  };
}

export function hasAddress(
  kernel: Kernel,
  { ifindex, ip, prefixLength }: Omit<Address, "op">,
): boolean {
  return kernel
    .addresses(ifindex)
    .some((one) => one.ip === ip && one.prefixLength === prefixLength);
}

/**
 * Without an explicit MAC a bridge takes the lowest of its ports': with none but our TAPs the
 * gateway's MAC would come and go with them. Setting the one that it has makes it explicit.
 */
function pinMac(kernel: Kernel, { ifindex, name, mac }: LinkInfo): void {
  const macs = kernel.links({ master: ifindex }).map((port) => port.mac);
  // Higher than a port's, it is explicit already; and neighbour entries go with every setting.
  if (macs.length > 0 && Math.min(...macs) !== mac) return;
  mustTalk(kernel, [{ op: "link.set", ifindex, mac }], name);
}

/** Without them a thousand ports are slow or leak. */
function quietSteps({ ifindex, name, sendRedirects }: LinkInfo): Step[] {
  // One ARP request of the host on a bridge with 1000 ports costs 0.9 ms; guests have permanent
  // neighbours instead.
  const probes = multicastProbes(name);
  const table = { op: "neighbor.table", ifindex } as const;
  return [
    ...(sendRedirects ? [setting(ifindex, { sendRedirects: false }, { sendRedirects: true })] : []),
    ...(probes > 0
      ? [
          {
            message: { ...table, multicastProbes: 0 },
            back: { ...table, multicastProbes: probes },
          },
        ]
      : []),
  ];
}

/** Before the address is there: who finds it must know whose it is. */
function rememberAddress({ ifindex }: Shaper, bridge: string): Step {
  const [alias, former] = [shaperAlias(bridge, true), shaperAlias(bridge, false)];
  return setting(ifindex, { alias }, { alias: former });
}

function createBridge(kernel: Kernel, name: string, mac: number, undo: Undo): LinkInfo {
  // VLAN filtering is off in a new bridge, and kernels built without it refuse to be told so.
  const create = {
    op: "link.create",
    name,
    kind: "bridge",
    mac,
    multicastSnooping: false,
  } as const;
  return createLink(kernel, create, "bridge", undo);
}

/** An alias cannot be given when a link is made, so it is the second step. */
function nameBridge(
  kernel: Kernel,
  bridge: LinkInfo,
  settings: Omit<LinkSet, "op" | "ifindex"> & { alias: string },
): LinkInfo {
  mustTalk(kernel, [{ op: "link.set", ifindex: bridge.ifindex, ...settings }], bridge.name);
  return { ...bridge, alias: settings.alias };
}

/** The proof that a bridge is forknet's: `forknet1 /bridge 10.100.0.0/16`. */
export function bridgeAlias(subnet: Subnet): string {
  return `${ALIAS_PREFIX}/bridge ${formatIpv4(subnet.network)}/${subnet.prefixLength}`;
}
