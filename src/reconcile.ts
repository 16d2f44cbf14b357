// Compares what the network knows with what is in the kernel, and brings them together: leftovers
// go, guests whose TAP is gone end. Touches only what an alias or the lease map proves to be ours.

import { monotonicMs } from "./clock.js";
import { configError } from "./errors.js";
import type { Guest } from "./guest.js";
import { checkKeys } from "./options.js";
import type { Parts } from "./parts.js";
import type { Survey } from "./plans/survey.js";
import { endSpan, startSpan } from "./telemetry/traces.js";

export interface ReconcileOptions {
  /** Ids of the guests to keep; every other one is released. Default: all are kept. */
  keep?: Iterable<string>;
  /** Guests younger than this are kept whatever `keep` says. Default 0. */
  minAgeMs?: number;
  /** Report, change nothing. */
  dryRun?: boolean;
}

/** One line of a plan: what is done, to what, why, and how we know that it is ours. */
export interface ReconcileAction {
  action: "delete_tap" | "delete_lease" | "release";
  /** TAP name, ifindex or instance id. */
  subject: string;
  reason: string;
  proof: string;
}

export interface ReconcileReport {
  dryRun: boolean;
  /** Guests that were left alone. */
  kept: number;
  actions: ReconcileAction[];
}

type Step = ReconcileAction & { run: () => Promise<unknown> };

function toAction({ action, subject, reason, proof }: Step): ReconcileAction {
  return { action, subject, reason, proof };
}

const KEYS = new Set(["keep", "minAgeMs", "dryRun"]);

/** Makes the plan and, unless it is a dry run, carries it out; rejects when a step was refused. */
export async function reconcile(
  parts: Parts,
  options: ReconcileOptions,
  release: (guest: Guest) => Promise<void>,
): Promise<ReconcileReport> {
  const { keep, minAgeMs, dryRun } = checkOptions(options);
  const span = startSpan("forknet.reconcile", { "forknet.bridge": parts.facts.bridge.name });
  const startedMs = monotonicMs();
  let failed: unknown;
  try {
    const found = await parts.lanes.survey(parts.options.subnet);
    const endings = endingGuests(parts, found, keep, minAgeMs, release);
    const steps = [...endings, ...strayTaps(parts, found), ...strayLeases(parts, found)];
    if (!dryRun) await Promise.all(steps.map((step) => step.run()));
    const kept = parts.registry.all().length - (dryRun ? endings.length : 0);
    span.setAttributes({ "forknet.kept": kept, "forknet.reaped": dryRun ? 0 : steps.length });
    return { dryRun, kept, actions: steps.map(toAction) };
  } catch (error) {
    failed = error;
    throw error;
  } finally {
    endSpan(span, failed);
    parts.metrics.operation("reconcile", (monotonicMs() - startedMs) / 1000, undefined, undefined);
  }
}

/**
 * Guests the caller does not want kept, and those whose TAP somebody deleted: a lease without a TAP
 * is released.
 */
function endingGuests(
  parts: Parts,
  found: Survey,
  keep: ReadonlySet<string> | undefined,
  minAgeMs: number,
  release: (guest: Guest) => Promise<void>,
): Step[] {
  const present = new Set(found.taps.map(({ ifindex }) => ifindex));
  const oldest = Date.now() - minAgeMs;
  const steps: Step[] = [];
  for (const guest of parts.registry.all()) {
    if (guest.state === "pending" || guest.releasing) continue;
    const isGone = guest.state === "active" && !present.has(guest.ifindex);
    const isUnwanted = keep !== undefined && !keep.has(guest.id) && guest.lease.createdMs <= oldest;
    if (!isGone && !isUnwanted) continue;
    const reason = isGone
      ? `its TAP ${guest.view.tap} was deleted from outside`
      : "not in the list of guests to keep";
    const proof = "allocated by this network";
    steps.push({ action: "release", subject: guest.id, reason, proof, run: () => release(guest) });
  }
  return steps;
}

/** TAPs with our alias that neither a guest nor the pool has. */
function strayTaps(parts: Parts, found: Survey): Step[] {
  const known = parts.pool.ifindexes();
  for (const { ifindex, donorIfindex } of parts.registry.all())
    known.add(ifindex).add(donorIfindex);
  return found.taps
    .filter(({ ifindex }) => !known.has(ifindex))
    .map((tap) => ({
      action: "delete_tap",
      subject: tap.tapName,
      reason: "no guest and no warm slot has it",
      proof: `alias "${tap.alias}"`,
      run: async () => {
        parts.leases.disarm(tap.ifindex);
        // Its guest may be back with another TAP, or be coming back: then the neighbour entry is
        // that one's.
        const isInUse =
          parts.pool.holds(tap.ip) || parts.registry.all().some(({ ip }) => ip === tap.ip);
        const giveBack = parts.identities.hold(tap.ip, tap.tapName);
        const { tapName, ifindex, ip } = tap;
        await parts.reaper
          .reap({ tapName, ifindex, ...(isInUse ? {} : { ip }) }, "leftover")
          .finally(giveBack);
      },
    }));
}

/** Entries of our map whose TAP is gone. */
function strayLeases(parts: Parts, found: Survey): Step[] {
  const present = new Set(found.taps.map(({ ifindex }) => ifindex));
  for (const guest of parts.registry.all()) present.add(guest.ifindex);
  return found.leased
    .filter((ifindex) => !present.has(ifindex))
    .map((ifindex) => ({
      action: "delete_lease",
      subject: `ifindex ${ifindex}`,
      reason: "its TAP is gone",
      proof: "entry of this network's lease map",
      run: async () => parts.leases.disarm(ifindex),
    }));
}

function checkOptions(options: ReconcileOptions) {
  checkKeys(options, KEYS, "reconcile");
  const { keep, minAgeMs = 0, dryRun = false } = options;
  if (typeof minAgeMs !== "number" || !(minAgeMs >= 0))
    throw configError("minAgeMs", "a number of at least 0", minAgeMs);
  if (typeof dryRun !== "boolean") throw configError("dryRun", "true or false", dryRun);
  const isIterable = typeof keep === "object" && keep !== null && Symbol.iterator in keep;
  if (keep !== undefined && !isIterable)
    throw configError("keep", "an iterable of instance ids", keep);
  return { keep: keep === undefined ? undefined : new Set(keep), minAgeMs, dryRun };
}
