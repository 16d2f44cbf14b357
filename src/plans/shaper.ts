// The shaper of a network: an IFB device whose HTB tree every upload passes. One per network.

import { type BitsPerSecond, toBitsPerSecond, toBytesPerSecond } from "../bandwidth.js";
import { classHandle, HTB_ROOT } from "../facts.js";
import { CAPACITY_MINOR, DEFAULT_MINOR } from "../identity/class-pool.js";
import type { LinkInfo } from "../kernel/binding.js";
import { type Kernel, mustTalk, Refused } from "../kernel/kernel.js";
import type { Ipv4, Mac, Message } from "../kernel/messages.js";
import { ALIAS_PREFIX } from "../lease/alias.js";
import { HTB_QUANTUM_BYTES, htbBucket } from "../limits.js";
import { createLink } from "./link.js";
import { CLASSIFIER } from "./slot.js";
import { disableIpv6 } from "./sysctl.js";
import { type Step, sendSteps, type Undo } from "./undo.js";

/**
 * The IFB is named after the gateway, which is unique in the namespace: fku0a640001 for 10.100.0.1.
 */
export function shaperName(gateway: Ipv4): string {
  return `fku${gateway.toString(16).padStart(8, "0")}`;
}

/**
 * The proof that an IFB is a network's shaper. On somebody else's bridge it also remembers that the
 * gateway's address there was added by us: `forknet1 /shaper br0 +address`.
 */
export function shaperAlias(bridge: string, addressAdded: boolean): string {
  return `${ALIAS_PREFIX}/shaper ${bridge}${addressAdded ? " +address" : ""}`;
}

/** The network's shaper as opening found or made it. */
export interface Shaper {
  name: string;
  ifindex: number;
  /** What its alias says. */
  addressAdded: boolean;
  /** What its MAC says. */
  bridgeWasDown: boolean;
  /** The bridge is the network's own, whatever somebody made of its alias. */
  madeBridge: boolean;
}

/**
 * What a shaper's MAC remembers of the bridge as it was when the shaper was made: somebody else's that
 * was down, or the network's own, by its ifindex. Nothing uses that MAC, it can only be given when the
 * link is made (EOPNOTSUPP), and an alias with more words would be refused by the release before this one.
 */
const WAS_DOWN_MAC: Mac = 0x02_66_6b_64_6f_77;
const madeBridgeMac = (bridge: number): Mac => 0x02_62 * 2 ** 32 + bridge;

function memoryOf({ ifindex, up }: LinkInfo, isOwn: boolean): { mac?: Mac } {
  if (isOwn) return { mac: madeBridgeMac(ifindex) };
  return up ? {} : { mac: WAS_DOWN_MAC };
}

/**
 * The shaper of this network, whole or not. Its alias proves it or, where somebody changed that, the
 * classifier at its root.
 */
export function findShaper(kernel: Kernel, bridge: string, gateway: Ipv4): LinkInfo | undefined {
  const link = kernel.link({ name: shaperName(gateway) });
  if (link?.kind !== "ifb") return undefined;
  const aliases = [shaperAlias(bridge, false), shaperAlias(bridge, true)];
  const isOthers = link.alias.startsWith(`${ALIAS_PREFIX}/shaper `);
  const isOurs = aliases.includes(link.alias) || (!isOthers && hasClassifier(kernel, link));
  return isOurs ? link : undefined;
}

function hasClassifier(kernel: Kernel, { ifindex }: LinkInfo): boolean {
  return kernel.filters(ifindex, HTB_ROOT).some(({ bpf }) => bpf?.name === CLASSIFIER);
}

export interface ShaperWish {
  bridge: LinkInfo;
  /** The bridge is known to be the network's own. */
  isOwn: boolean;
  gateway: Ipv4;
  capacity: BitsPerSecond;
  ipv6: boolean;
}

/** Makes the IFB with its HTB, or takes over the one an earlier process left. */
export function ensureShaper(
  kernel: Kernel,
  { bridge: link, isOwn, gateway, capacity, ipv6 }: ShaperWish,
  undo: Undo,
): Shaper {
  const bridge = link.name;
  const name = shaperName(gateway);
  const found = kernel.link({ name });
  const addressAdded = found?.alias === shaperAlias(bridge, true);
  const alias = shaperAlias(bridge, addressAdded);
  // An earlier process died between making it and naming it: nobody else makes such a link and
  // leaves it down.
  const isHalfMade = found?.kind === "ifb" && found.alias === "" && !found.up;
  if (found && !isHalfMade && !findShaper(kernel, bridge, gateway)) {
    const text = `a link named ${name} exists and is not the shaper of ${bridge}`;
    throw new Refused({
      code: "ERR_FORKNET_CONFLICT",
      operation: "openNetwork",
      device: name,
      errno: 0,
      text,
      leftBehind: [],
    });
  }
  const former = found && !isHalfMade ? capacityOf(kernel, found.ifindex) : undefined;
  if (found && former !== undefined) {
    sendSteps(kernel, adoptSteps(found, alias, former, capacity), name, undo);
    return shaperOf(found, addressAdded, link, isOwn);
  }
  // Half a shaper, from a process that died while making it, or a root somebody deleted: a new one
  // is the safe way.
  if (found) mustTalk(kernel, [{ op: "link.delete", ifindex: found.ifindex }], name);
  const create = { op: "link.create", name, kind: "ifb", ...memoryOf(link, isOwn) } as const;
  const made = createLink(kernel, create, "shaper", undo);
  const { ifindex } = made;
  if (ipv6) {
    mustTalk(kernel, [{ op: "link.set", ifindex, addressGeneration: "none" }], name);
    disableIpv6(name, undo);
  }
  mustTalk(kernel, treeMessages(ifindex, alias, capacity), name);
  return shaperOf(made, addressAdded, link, isOwn);
}

function shaperOf(
  { name, ifindex, mac }: LinkInfo,
  addressAdded: boolean,
  bridge: LinkInfo,
  isOwn: boolean,
): Shaper {
  return {
    name,
    ifindex,
    addressAdded,
    bridgeWasDown: mac === WAS_DOWN_MAC,
    madeBridge: isOwn || mac === madeBridgeMac(bridge.ifindex),
  };
}

function adoptSteps(
  { ifindex, up: wasUp, alias: formerAlias }: LinkInfo,
  alias: string,
  former: BitsPerSecond,
  wanted: BitsPerSecond,
): Step[] {
  const link = { op: "link.set", ifindex } as const;
  return [
    ...(alias === formerAlias
      ? []
      : [{ message: { ...link, alias }, back: { ...link, alias: formerAlias } }]),
    {
      message: capacityClass(ifindex, wanted, "change"),
      back: capacityClass(ifindex, former, "change"),
    },
    { message: up(ifindex), back: { ...link, up: wasUp } },
  ];
}

/** The tree without guests. The alias comes last: it vouches for everything before it. */
export function treeMessages(ifindex: number, alias: string, capacity: BitsPerSecond): Message[] {
  const parent = classHandle(DEFAULT_MINOR);
  return [
    { op: "qdisc.htb", verb: "add", ifindex, handle: HTB_ROOT, defaultMinor: DEFAULT_MINOR },
    capacityClass(ifindex, capacity, "add"),
    // HTB fails open: what has no class is sent unshaped, unless the default class leads nowhere.
    { ...capacityClass(ifindex, 1000, "add"), handle: parent },
    { op: "qdisc.blackhole", verb: "add", ifindex, parent, handle: (DEFAULT_MINOR << 16) >>> 0 },
    { op: "link.set", ifindex, alias },
    up(ifindex),
  ];
}

/** 1:1, whose ceil bounds what guests borrow together. */
function capacityClass(ifindex: number, capacity: BitsPerSecond, verb: "add" | "change") {
  const rate = toBytesPerSecond(capacity);
  const bucket = htbBucket(rate);
  return {
    op: "class.htb" as const,
    verb,
    ifindex,
    parent: HTB_ROOT,
    handle: classHandle(CAPACITY_MINOR),
    rate,
    ceil: rate,
    burstBytes: bucket,
    cburstBytes: bucket,
    quantumBytes: HTB_QUANTUM_BYTES,
  };
}

function up(ifindex: number): Message {
  return { op: "link.set", ifindex, up: true };
}

/** What the tree's capacity class has; undefined when the tree is not whole. */
function capacityOf(kernel: Kernel, ifindex: number): BitsPerSecond | undefined {
  const hasRoot = kernel
    .qdiscs(ifindex)
    .some((qdisc) => qdisc.kind === "htb" && qdisc.handle === HTB_ROOT);
  if (!hasRoot) return undefined;
  const classes = kernel.classes(ifindex);
  const isWhole = classes.some(({ handle }) => handle === classHandle(DEFAULT_MINOR));
  const capacity = classes.find(({ handle }) => handle === classHandle(CAPACITY_MINOR));
  return isWhole && capacity ? toBitsPerSecond(capacity.rate) : undefined;
}
