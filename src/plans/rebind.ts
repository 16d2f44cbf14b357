// How a warm slot takes another identity than the one it was made with: for restores and exact
// wishes. Everything that costs a grace period is there already, so this is a few changes in one
// send. Runs in the create lane.

import { type NetworkFacts, TBF_HANDLE } from "../facts.js";
import { type Kernel, mustTalk, Refused } from "../kernel/kernel.js";
import type { Message } from "../kernel/messages.js";
import { giveTap } from "./give.js";
import { removalMessages } from "./group.js";
import { talkRenaming } from "./rename.js";
import { classMessages, type FormerSlot, type SlotSpec } from "./slot.js";
import { type Step, sendSteps, type Undo, undoing } from "./undo.js";

/**
 * Gives the slot the owner, name, address and limits of `spec`, whose class is the slot's own or a group's. Throws
 * Refused; then the slot is fit for deletion only, and nothing of the new identity is left outside
 * it.
 */
export function rebindSlot(
  kernel: Kernel,
  facts: NetworkFacts,
  former: FormerSlot,
  spec: SlotSpec,
): number {
  undoing((undo) => rebind(kernel, facts, former, spec, undo));
  return former.ifindex;
}

function rebind(
  kernel: Kernel,
  facts: NetworkFacts,
  former: FormerSlot,
  spec: SlotSpec,
  undo: Undo,
): void {
  const { ifindex } = former;
  // The owner first of all: who already has the slot open must not get a guest, and a process that
  // dies behind it leaves what still reads as a slot.
  if (spec.owner) giveTap(kernel, ifindex, former.tapName, spec.owner);
  // The name then: it is the one thing that can be taken by somebody else. And the alias: should this
  // process die half way, it is the proof of what is left. It names the new address, and the old one
  // has the MAC that is derived from it.
  const { tapName: name, alias } = spec;
  // Up: a first attempt that was refused half way may have left it down.
  const identity = { alias, up: true, ...(former.tapName === name ? {} : { name }) };
  const [refused] = talkRenaming(
    kernel,
    [{ op: "link.set", ifindex, ...identity }],
    former.tapName,
  );
  if (refused) throw new Refused(refused);
  if (former.ip !== spec.ip) readdress(kernel, facts, former, spec, undo);
  // Of a group: the slot's own class stands under the capacity class.
  if (!spec.class.exists) {
    const { name: shaper } = facts.shaper;
    const [back] = removalMessages(facts, [spec.class.minor]) as [Message];
    undo.pushMessage(kernel, `class on ${shaper}`, back, shaper);
  }
  mustTalk(kernel, limitMessages(facts, ifindex, spec), name);
}

/** Static forwarding entry and permanent neighbour, the new ones before the old ones go. */
function readdress(
  kernel: Kernel,
  facts: NetworkFacts,
  former: FormerSlot,
  spec: SlotSpec,
  undo: Undo,
): void {
  const { ifindex } = former;
  const { name, ifindex: bridge } = facts.bridge;
  const entries: Message[] = [
    { op: "fdb.add", ifindex, mac: spec.mac },
    { op: "fdb.delete", ifindex, mac: former.mac },
    { op: "neighbor.delete", ifindex: bridge, ip: former.ip },
  ];
  const neighbor: Step = {
    message: { op: "neighbor.set", ifindex: bridge, ip: spec.ip, mac: spec.mac },
    back: { op: "neighbor.delete", ifindex: bridge, ip: spec.ip },
  };
  sendSteps(kernel, [neighbor], name, undo);
  mustTalk(kernel, entries, spec.tapName);
}

/** The final limits. */
function limitMessages(facts: NetworkFacts, ifindex: number, spec: SlotSpec): Message[] {
  return [
    { op: "qdisc.tbf", verb: "change", ifindex, handle: TBF_HANDLE, ...spec.limits.tbf },
    ...classMessages(facts, spec.class, spec.limits, spec.class.exists ? "change" : "add"),
  ];
}
