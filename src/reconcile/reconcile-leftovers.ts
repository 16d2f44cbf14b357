// The part of a plan that deletes: what is provably ours and nobody has. An identity stays out of
// use until everything of it is gone, so that no deletion hits the next guest.

import { classHandle } from "../facts.js";
import { inTurn } from "../guests/removal.js";
import { formatIpv4 } from "../identity/ipv4.js";
import type { Message } from "../kernel/messages.js";
import type { Parts } from "../parts.js";
import type { UnknownTap } from "../plans/leftovers.js";
import type { Criteria, ReconcileAction, Step } from "./reconcile-action.js";
import type { Strays } from "./strays.js";

export function leftoverSteps(parts: Parts, strays: Strays, criteria: Criteria): Step[] {
  return [
    ...strays.taps.filter((tap) => mayGo(tap, criteria)).map((tap) => tapStep(parts, tap)),
    ...strays.leases.map((entry) => leaseStep(parts, entry)),
    ...strays.neighbors.map((entry) => neighborStep(parts, entry)),
    ...strandedSteps(parts, strays),
  ];
}

function step(
  kind: Step["kind"],
  action: ReconcileAction["action"],
  [subject, reason, proof]: readonly [string, string, string],
  run: Step["run"],
): Step {
  return { kind, actions: [{ action, subject, reason, proof }], run };
}

/** A leftover with a lease is somebody's guest: it goes only when a list does not have it. */
function mayGo({ ifindex, lease }: UnknownTap, criteria: Criteria): boolean {
  const bornMs = lease?.createdBootMs ?? criteria.seenMs.get(ifindex) ?? Number.POSITIVE_INFINITY;
  if (bornMs > criteria.bornBeforeMs) return false;
  return !lease || (criteria.keep !== undefined && !criteria.keep.has(lease.instanceId));
}

/** A TAP with our alias that neither a guest nor the pool has. */
function tapStep(parts: Parts, { tapName, ifindex, ip, alias, lease }: UnknownTap): Step {
  const reason = lease
    ? `its lease is of ${lease.instanceId}, which is not in the list of guests to keep`
    : "no guest and no warm slot has it";
  const run = async () => {
    const { identities, leases, pool, reaper, registry } = parts;
    leases.disarm(ifindex);
    // Its guest may be back with another TAP, or be coming back: then the neighbour entry is
    // that one's.
    const isInUse = pool.holds(ip) || registry.all().some((one) => one.ip === ip);
    const giveBack = identities.hold(ip, tapName);
    try {
      await reaper.reap({ tapName, ifindex, ...(isInUse ? {} : { ip }) }, "leftover");
    } catch (error) {
      identities.stranded.add({ tapName, ifindex, ip }, giveBack);
      throw error;
    }
    await giveBack();
  };
  return step("deletion", "delete_tap", [tapName, reason, `alias "${alias}"`], run);
}

/** An entry of our map whose TAP is gone. Its address may be free, with flows of who had it. */
function leaseStep(parts: Parts, { ifindex, ip }: Strays["leases"][number]): Step {
  const { identities, leases, metrics } = parts;
  const proof = "entry of this network's lease map";
  const run = async () => {
    const giveBack = identities.hold(ip, "");
    if (leases.disarm(ifindex)) metrics.reaped("lease", "leftover");
    await giveBack();
  };
  return step("deletion", "delete_lease", [`ifindex ${ifindex}`, "its TAP is gone", proof], run);
}

/** A permanent neighbour of nobody: it would stop at a thousand of them, and lie. */
function neighborStep(parts: Parts, { ip, standby }: Strays["neighbors"][number]): Step {
  const { identities } = parts;
  const reason = standby ? `${standby.id} is in standby` : "nobody has the address";
  const proof = standby
    ? `address and MAC of ${standby.id}`
    : "permanent, with the MAC that this network derives from the address";
  const run = async () => {
    if (standby) {
      const isStill = () => standby.state === "standby" && !standby.releasing;
      return inTurn(standby, async () => isStill() && deleteNeighbor(parts, ip));
    }
    if (identities.isTaken(ip)) return;
    const giveBack = identities.hold(ip, "");
    try {
      await deleteNeighbor(parts, ip);
    } finally {
      await giveBack();
    }
  };
  return step("deletion", "delete_neighbor", [formatIpv4(ip), reason, proof], run);
}

/** What failed undos left goes, and when nothing of it is left the identity is free. */
export function strandedSteps(parts: Parts, { stranded }: Strays): Step[] {
  return stranded.flatMap((one) => stepsOfOne(parts, one));
}

function stepsOfOne(parts: Parts, { one, remaining }: Strays["stranded"][number]): Step[] {
  const { facts, identities, metrics, registry } = parts;
  const { tapName, ip, classMinor, isUnproved, hasFlows } = one.remains;
  const free = () => identities.stranded.free(one);
  if (hasFlows) {
    const reason = "the kernel did not forget the flows of who had it: asked again";
    const why = [formatIpv4(ip), reason, "nobody has the address"] as const;
    return [step("books", "free_identity", why, free)];
  }
  const since = isUnproved ? "nothing proved whose it is" : "its undo failed";
  const proof = `${tapName} with ${formatIpv4(ip)} is held since ${since}`;
  const why = (subject: string) => [subject, "an undo that failed left it", proof] as const;
  const steps: Step[] = [];
  if (remaining.class && classMinor !== undefined) {
    const { name, ifindex } = facts.shaper;
    const message: Message = { op: "class.delete", ifindex, handle: classHandle(classMinor) };
    const run = async () => {
      await send(parts, name, message);
      // It may have been counted as made before the guest failed.
      identities.classLost(classMinor);
      metrics.reaped("class", "leftover");
    };
    steps.push(step("deletion", "delete_class", why(`1:${classMinor.toString(16)}`), run));
  }
  // A guest in standby whose restore failed may have been restored since.
  const isInUse = registry.all().some((guest) => guest.ip === ip && guest.state !== "standby");
  if (remaining.neighbor && !isInUse) {
    const run = () => deleteNeighbor(parts, ip);
    steps.push(step("deletion", "delete_neighbor", why(formatIpv4(ip)), run));
  }
  if (steps.length > 0 || remaining.tap) return steps;
  const gone = "no TAP, class or neighbour entry of it is left";
  return [step("books", "free_identity", [tapName, gone, proof], free)];
}

/** A free class that the kernel has no more. */
export function lostClassStep({ identities }: Parts, minor: number): Step {
  const reason = "a free class that was deleted from outside: the next guest has to add it";
  const proof = "on this network's list of free classes";
  const forget = async () => identities.classLost(minor);
  return step("books", "forget_class", [`1:${minor.toString(16)}`, reason, proof], forget);
}

async function deleteNeighbor(parts: Parts, ip: number): Promise<void> {
  const { name, ifindex } = parts.facts.bridge;
  await send(parts, name, { op: "neighbor.delete", ifindex, ip });
  parts.metrics.reaped("neighbor", "leftover");
}

async function send({ lanes }: Parts, device: string, message: Message): Promise<void> {
  await lanes.mend.submit({ device, messages: [message] }).done;
}
