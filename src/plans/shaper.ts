// The shaper of a network: an IFB device whose HTB tree every upload passes. One per network.

import { type BitsPerSecond, toBytesPerSecond } from "../bandwidth.js";
import { classHandle, HTB_ROOT } from "../facts.js";
import { CAPACITY_MINOR, DEFAULT_MINOR } from "../identity/class-pool.js";
import { type Kernel, mustTalk, Refused } from "../kernel/kernel.js";
import type { Ipv4, Message } from "../kernel/messages.js";
import { ALIAS_PREFIX } from "../lease/alias.js";
import { HTB_QUANTUM_BYTES, htbBucket } from "../limits.js";
import { createLink } from "./link.js";
import { setLinkSysctl } from "./sysctl.js";
import type { Undo } from "./undo.js";

/**
 * The IFB is named after the gateway, which is unique in the namespace: fku0a640001 for 10.100.0.1.
 */
export function shaperName(gateway: Ipv4): string {
  return `fku${gateway.toString(16).padStart(8, "0")}`;
}

/** The proof that an IFB is a network's shaper. */
export function shaperAlias(bridge: string): string {
  return `${ALIAS_PREFIX}/shaper ${bridge}`;
}

/** Makes the IFB with its HTB, or takes over the one an earlier process left. */
export function ensureShaper(
  kernel: Kernel,
  bridge: string,
  gateway: Ipv4,
  capacity: BitsPerSecond,
  ipv6: boolean,
  undo: Undo,
): { name: string; ifindex: number; adopted: boolean } {
  const name = shaperName(gateway);
  const found = kernel.link({ name });
  const alias = shaperAlias(bridge);
  // An earlier process died between making it and naming it: nobody else makes such a link and
  // leaves it down.
  const isHalfMade = found?.kind === "ifb" && found.alias === "" && !found.up;
  if (found && !isHalfMade && (found.kind !== "ifb" || found.alias !== alias)) {
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
  if (found && !isHalfMade && isComplete(kernel, found.ifindex)) {
    mustTalk(kernel, [capacityClass(found.ifindex, capacity, "change"), up(found.ifindex)], name);
    return { name, ifindex: found.ifindex, adopted: true };
  }
  // Half a shaper, from a process that died while making it, or a root somebody deleted: a new one
  // is the safe way.
  if (found) mustTalk(kernel, [{ op: "link.delete", ifindex: found.ifindex }], name);
  const { ifindex } = createLink(kernel, { op: "link.create", name, kind: "ifb" }, "shaper", undo);
  if (ipv6) setLinkSysctl("ipv6/conf", name, "disable_ipv6", 1);
  mustTalk(kernel, treeMessages(ifindex, alias, capacity), name);
  return { name, ifindex, adopted: false };
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

function isComplete(kernel: Kernel, ifindex: number): boolean {
  const hasRoot = kernel
    .qdiscs(ifindex)
    .some((qdisc) => qdisc.kind === "htb" && qdisc.handle === HTB_ROOT);
  if (!hasRoot) return false;
  const handles = new Set(kernel.classes(ifindex).map(({ handle }) => handle));
  return handles.has(classHandle(CAPACITY_MINOR)) && handles.has(classHandle(DEFAULT_MINOR));
}
