// How one slot comes to be: a TAP with its qdiscs, filters, HTB class, bridge port and bound
// address. Runs in the create lane. Either the whole slot is there, or the kernel is as it was.

import type { KernelFailure } from "../errors.js";
import {
  classHandle,
  EGRESS,
  FILTER_HANDLE,
  FILTER_PRIORITY,
  HTB_ROOT,
  INGRESS,
  type NetworkFacts,
  TBF_HANDLE,
} from "../facts.js";
import { CAPACITY_MINOR, type ClassClaim, leafHandle } from "../identity/class-pool.js";
import { type TapOwner, toTunIds } from "../identity/tap-owner.js";
import {
  EBUSY,
  EINVAL,
  ENODEV,
  failureOf,
  type Kernel,
  mustTalk,
  Refused,
} from "../kernel/kernel.js";
import type { Ipv4, Mac, Message, TcVerb } from "../kernel/messages.js";
import { HTB_QUANTUM_BYTES, type KernelLimits } from "../limits.js";
import { isAlone } from "./give.js";
import { hostMac, joinBridge } from "./port.js";
import { type Undo, undoing } from "./undo.js";

/** The name of the filter at the shaper's root. */
export const CLASSIFIER = "forknet-classify";
/** The name of the filter at a TAP's ingress. */
export const GUARD = "forknet-guard";

/** A warm slot that is to become another: unarmed, on the bridge, with this name and address. */
export interface FormerSlot {
  tapName: string;
  ifindex: number;
  ip: Ipv4;
  mac: Mac;
}

/** Everything a slot is made from. Plain data. */
export interface SlotSpec {
  tapName: string;
  ip: Ipv4;
  mac: Mac;
  class: ClassClaim;
  limits: KernelLimits;
  alias: string;
  /** Who may open the TAP; absent where the network's owner applies. */
  owner?: TapOwner;
  /** A warm slot to make it of, whose class is `class` unless that stands under a group's. */
  former?: FormerSlot;
}

/**
 * Makes the slot and returns the TAP's ifindex. Throws Refused; `leftBehind` is empty when the undo
 * went well.
 */
export function createSlot(kernel: Kernel, facts: NetworkFacts, spec: SlotSpec): number {
  return undoing((undo) => {
    const ifindex = makeTap(kernel, facts, spec, undo);
    const messages = afterPersist(facts, spec, ifindex);
    const results = sendAll(kernel, facts, spec, messages, undo);
    const failure = results.find((result) => result !== null);
    if (failure) throw new Refused(ofItsDevice(kernel, facts, failure));
    return ifindex;
  });
}

function ofItsDevice(kernel: Kernel, facts: NetworkFacts, failure: KernelFailure): KernelFailure {
  const { operation, errno } = failure;
  if (operation.includes("master")) return ofBridge(kernel, facts, failure);
  // The TAP is there, and its guard is to redirect to what is gone.
  const isOfShaper = facts.mirrored && errno === ENODEV && operation.includes(GUARD);
  return isOfShaper ? { ...failure, device: facts.shaper.name } : failure;
}

/**
 * A refused master is about the bridge: EXFULL says that it is full, EINVAL without a word that it
 * is gone.
 */
function ofBridge(kernel: Kernel, { bridge }: NetworkFacts, failure: KernelFailure): KernelFailure {
  const isGone = failure.errno === EINVAL && !kernel.link({ ifindex: bridge.ifindex });
  return { ...failure, device: bridge.name, ...(isGone ? { text: "the bridge is gone" } : {}) };
}

/**
 * Opens the TAP, gives it its qdiscs while it is down (no grace period to wait for) and makes it
 * persistent last: a process that dies before has left nothing. clsact comes before close(), whose
 * grace period also serves the filters that follow.
 */
function makeTap(kernel: Kernel, facts: NetworkFacts, spec: SlotSpec, undo: Undo): number {
  const { fd, ifindex } = openExclusive(kernel, facts, spec);
  try {
    if (facts.tap.multiQueue) mustBeAlone(kernel, ifindex, spec, undo);
    mustTalk(kernel, beforePersist(facts, spec, ifindex), spec.tapName);
    kernel.setTapPersistent(fd, true);
    undo.pushMessage(kernel, `TAP ${spec.tapName}`, { op: "link.delete", ifindex }, spec.tapName);
  } finally {
    kernel.closeFd(fd);
  }
  return ifindex;
}

/**
 * Between TUNSETIFF and TUNSETOWNER a new TAP belongs to nobody, and one of several queues opens for
 * everybody. Somebody else's queue would keep it alive, so it is deleted before the next attempt.
 */
function mustBeAlone(kernel: Kernel, ifindex: number, { tapName }: SlotSpec, undo: Undo): void {
  if (isAlone(kernel, ifindex, tapName)) return;
  undo.pushMessage(kernel, `TAP ${tapName}`, { op: "link.delete", ifindex }, tapName);
  const text = "another process opened it while it was being made";
  const operation = "TUNSETIFF";
  throw new Refused({ operation, device: tapName, errno: EBUSY, text, leftBehind: [] });
}

function openExclusive(kernel: Kernel, facts: NetworkFacts, { tapName: name, owner }: SlotSpec) {
  const { vnetHdr, multiQueue, ...ids } = facts.tap;
  const options = { name, vnetHdr, multiQueue, exclusive: true };
  try {
    return kernel.openTap({ ...options, ...(owner ? toTunIds(owner) : ids) });
  } catch (error) {
    const failure = failureOf(error, "TUNSETIFF", name);
    // The kernel says EBUSY for a TAP of that name and EINVAL for any other link.
    const isTaken = (failure.errno === EBUSY || failure.errno === EINVAL) && kernel.link({ name });
    if (!isTaken) throw error;
    throw new Refused({
      ...failure,
      code: "ERR_FORKNET_CONFLICT",
      text: `a link named ${name} exists and is not this network's`,
    });
  }
}

/** What is set while the TAP is down and would vanish with this process. */
export function beforePersist(facts: NetworkFacts, spec: SlotSpec, ifindex: number): Message[] {
  return [
    {
      op: "link.set",
      ifindex,
      alias: spec.alias,
      ...hostMac(facts, ifindex),
      // Before it is a port: one with less lowers a bridge that goes by its ports.
      mtu: facts.mtu,
      ...(facts.ipv6 ? { addressGeneration: "none" as const } : {}),
    },
    { op: "qdisc.tbf", verb: "add", ifindex, handle: TBF_HANDLE, ...spec.limits.tbf },
    { op: "qdisc.clsact", verb: "add", ifindex },
  ];
}

/** The rest: guard and class first, then the bridge. */
export function afterPersist(facts: NetworkFacts, spec: SlotSpec, ifindex: number): Message[] {
  return [
    guardFilter(facts, ifindex, "add"),
    gateFilter(facts, ifindex, "add"),
    ...classMessages(facts, spec.class, spec.limits, spec.class.exists ? "change" : "add"),
    ...joinBridge(facts, ifindex, spec),
  ];
}

/** The guest's class under its group's or the capacity class, and its leaf queue in bytes. */
export function classMessages(
  facts: NetworkFacts,
  claim: ClassClaim,
  limits: KernelLimits,
  verb: TcVerb,
): Message[] {
  const { leaf, ...rates } = limits.htb;
  const on = { ifindex: facts.shaper.ifindex };
  return [
    {
      op: "class.htb",
      verb,
      ...on,
      parent: classHandle(claim.parent ?? CAPACITY_MINOR),
      handle: classHandle(claim.minor),
      ...rates,
      quantumBytes: HTB_QUANTUM_BYTES,
    },
    // A handle that differs from the present leaf's makes a new queue; the dead guest's backlog
    // goes with the old one.
    {
      op: "qdisc.tbf",
      verb: "replace",
      ...on,
      parent: classHandle(claim.minor),
      handle: leafHandle(claim),
      ...leaf,
    },
  ];
}

/** The guard at the TAP's ingress: everything from the guest passes it. */
export function guardFilter(facts: NetworkFacts, ifindex: number, verb: TcVerb): Message {
  const guard = filter(ifindex, verb, INGRESS, facts.programs.guard, GUARD);
  return facts.mirrored ? { ...guard, redirectTo: facts.shaper.ifindex } : guard;
}

/** The gate at the TAP's egress: nothing reaches an unarmed or blocked guest. */
export function gateFilter(facts: NetworkFacts, ifindex: number, verb: TcVerb): Message {
  return filter(ifindex, verb, EGRESS, facts.programs.gate, "forknet-gate");
}

/**
 * The classifier at the shaper's root; `classid` carries the major that the program's minor is
 * joined with.
 */
export function classifyFilter(facts: NetworkFacts, verb: TcVerb): Message {
  const { classify } = facts.programs;
  return {
    ...filter(facts.shaper.ifindex, verb, HTB_ROOT, classify, CLASSIFIER),
    classid: HTB_ROOT,
  };
}

function filter(ifindex: number, verb: TcVerb, parent: number, programFd: number, name: string) {
  return {
    op: "filter.bpf" as const,
    verb,
    ifindex,
    parent,
    priority: FILTER_PRIORITY,
    handle: FILTER_HANDLE,
    programFd,
    name,
  };
}

function sendAll(
  kernel: Kernel,
  facts: NetworkFacts,
  spec: SlotSpec,
  messages: readonly Message[],
  undo: Undo,
) {
  const deviceOf = (message: Message) =>
    "ifindex" in message && message.ifindex === facts.shaper.ifindex
      ? facts.shaper.name
      : spec.tapName;
  try {
    const results = kernel.talk(messages, deviceOf);
    noteUndo(kernel, facts, spec, messages, results, undo);
    return results;
  } catch (error) {
    // The answer was lost, so any of them may have been done.
    const results = messages.map(() => null);
    noteUndo(kernel, facts, spec, messages, results, undo);
    throw error;
  }
}

/** What the TAP's deletion does not take along. */
function noteUndo(
  kernel: Kernel,
  facts: NetworkFacts,
  spec: SlotSpec,
  messages: readonly Message[],
  results: readonly unknown[],
  undo: Undo,
): void {
  messages.forEach((message, i) => {
    if (results[i] !== null) return;
    if (message.op === "neighbor.set") {
      const back = { op: "neighbor.delete", ifindex: message.ifindex, ip: message.ip } as const;
      undo.pushMessage(kernel, `neighbour entry on ${facts.bridge.name}`, back, facts.bridge.name);
    }
    if (message.op === "class.htb" && !spec.class.exists) {
      const back = {
        op: "class.delete",
        ifindex: message.ifindex,
        handle: message.handle,
      } as const;
      undo.pushMessage(kernel, `class on ${facts.shaper.name}`, back, facts.shaper.name);
    }
  });
}
