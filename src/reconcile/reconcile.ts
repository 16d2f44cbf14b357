// reconcile(): brings what the network knows and what is in the kernel together. The plan is made
// in reconcile-plan.ts; here it is carried out, a bounded part of it in each pass.

import { monotonicMs } from "../clock.js";
import { configError, type ForknetError } from "../errors.js";
import { publish } from "../events/events.js";
import { bootMs } from "../kernel/boot.js";
import { checkKeys } from "../option-checks.js";
import type { Parts } from "../parts.js";
import { endSpan, startSpan } from "../telemetry/traces.js";
import { inspect } from "./inspection.js";
import type { Criteria, ReconcileAction, Step } from "./reconcile-action.js";
import { strandedSteps } from "./reconcile-leftovers.js";
import { type Endings, planFor } from "./reconcile-plan.js";

/** What reconcile takes. */
export interface ReconcileOptions {
  /** Ids of the guests to keep; every other one is released. Default: all are kept. */
  keep?: Iterable<string>;
  /**
   * Guests and leftovers younger than this are kept whatever `keep` says. Told by the time since
   * boot, which no step of the wall clock changes; who does not tell its age, as guests of an
   * earlier release or boot, counts from when this process first saw it. Default 0.
   */
  minAgeMs?: number;
  /** Report, change nothing. */
  dryRun?: boolean;
}

/** What one pass of reconcile did and left. */
export interface ReconcileReport {
  /** As asked for: nothing was changed. */
  dryRun: boolean;
  /** Guests that were left alone or repaired. */
  kept: number;
  /** What was done in this pass; the whole plan in a dry run. */
  actions: ReconcileAction[];
  /** How many more actions the plan has: call again. */
  remaining: number;
}

/** Guests whose repairs one pass carries out: about 100 us of the kernel's time each. */
const REPAIRS_PER_PASS = 100;
/** Two calls of the reap lane, so that a release asked for meanwhile does not wait long. */
const DELETIONS_PER_PASS = 100;

const KEYS = new Set(["keep", "minAgeMs", "dryRun"]);

export class Reconciler {
  readonly #parts: Parts;
  readonly #endings: Endings;
  /** When a pass first saw a leftover that does not tell its age, by ifindex. */
  #firstSeenMs = new Map<number, number>();
  /** Passes run one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(parts: Parts, endings: Endings) {
    this.#parts = parts;
    this.#endings = endings;
  }

  /** One pass. A step that is refused does not stop the others; its action carries the error. */
  run(options: ReconcileOptions): Promise<ReconcileReport> {
    const checked = checkOptions(options);
    const result = this.#turn.then(() => this.#measured(checked));
    this.#turn = result.catch(() => {});
    return result;
  }

  /**
   * Passes until nothing is left to do, for what an earlier process left. Nobody waits for them: what
   * goes wrong is told by events, and is found again by the next call.
   */
  async settle(): Promise<void> {
    await this.#parts.lanes.shape.idle();
    let remaining = Number.POSITIVE_INFINITY;
    try {
      while (remaining > 0 && !this.#stopped) {
        const report = await this.run({});
        if (report.remaining >= remaining) return;
        remaining = report.remaining;
      }
    } catch (error) {
      const { name } = this.#parts.facts.bridge;
      publish("forknet:repair-failed", {
        bridge: name,
        subject: name,
        error: error as ForknetError,
      });
    }
  }

  /** Resolves when no pass runs or will. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#turn;
  }

  async #measured(options: Checked): Promise<ReconcileReport> {
    const { facts, metrics } = this.#parts;
    const span = startSpan("forknet.reconcile", { "forknet.bridge": facts.bridge.name });
    const startedMs = monotonicMs();
    let failed: unknown;
    try {
      const report = await this.#pass(options);
      const count = (isCounted: (action: ReconcileAction["action"]) => boolean) =>
        report.dryRun ? 0 : report.actions.filter(({ action }) => isCounted(action)).length;
      span.setAttributes({
        "forknet.kept": report.kept,
        "forknet.reaped": count((action) => action !== "repair"),
        "forknet.repaired": count((action) => action === "repair"),
      });
      return report;
    } catch (error) {
      failed = error;
      throw error;
    } finally {
      endSpan(span, failed);
      metrics.operation("reconcile", (monotonicMs() - startedMs) / 1000, undefined, undefined);
    }
  }

  async #pass(options: Checked): Promise<ReconcileReport> {
    const { registry } = this.#parts;
    const { dryRun } = options;
    const nowMs = bootMs();
    const actions: ReconcileAction[] = [];
    let steps = await this.#plan(options, nowMs);
    const restores = dryRun ? [] : steps.filter(isRestore);
    if (restores.length > 0) {
      // The guests' part cannot be told before bridge and shaper are there again.
      await carryOut(restores);
      actions.push(...actionsOf(restores));
      steps = await this.#plan(options, nowMs);
    }
    const chosen = dryRun ? steps : bounded(steps.filter((step) => !isRestore(step)));
    if (!dryRun) await carryOut(chosen);
    actions.push(...actionsOf(chosen));
    if (!dryRun) actions.push(...(await this.#free(chosen)));
    const ended = dryRun ? steps.filter(({ kind }) => kind === "release").length : 0;
    return {
      dryRun,
      kept: registry.all().length - ended,
      actions,
      remaining: actionsOf(steps).length - actionsOf(chosen).length,
    };
  }

  async #plan({ keep, minAgeMs }: Checked, nowMs: number): Promise<Step[]> {
    const found = await inspect(this.#parts);
    const seen = found.strays.taps.map(({ ifindex }) => ifindex);
    this.#remember(seen, nowMs);
    const criteria: Criteria = { keep, bornBeforeMs: nowMs - minAgeMs, seenMs: this.#firstSeenMs };
    return planFor(this.#parts, found, criteria, this.#endings);
  }

  /** Looks again at identities whose last objects went in this pass: they can be used again. */
  async #free(done: readonly Step[]): Promise<ReconcileAction[]> {
    const { stranded } = this.#parts.identities;
    if (stranded.all().length === 0 || !done.some(({ kind }) => kind === "deletion")) return [];
    const { strays } = await inspect(this.#parts);
    const steps = strandedSteps(this.#parts, strays).filter(({ kind }) => kind === "books");
    await carryOut(steps);
    return actionsOf(steps);
  }

  #remember(ifindexes: readonly number[], nowMs: number): void {
    const seen = this.#firstSeenMs;
    this.#firstSeenMs = new Map(ifindexes.map((one) => [one, seen.get(one) ?? nowMs]));
  }
}

/** What one pass takes on. The network's own repairs are few, and books cost nothing. */
function bounded(steps: readonly Step[]): Step[] {
  const left = {
    restore: 0,
    network: Number.POSITIVE_INFINITY,
    repair: REPAIRS_PER_PASS,
    release: DELETIONS_PER_PASS,
    deletion: DELETIONS_PER_PASS,
    books: Number.POSITIVE_INFINITY,
  };
  return steps.filter(({ kind }) => left[kind]-- > 0);
}

function actionsOf(steps: readonly Step[]): ReconcileAction[] {
  return steps.flatMap(({ actions }) => actions);
}

/** Makes bridge or shaper anew. */
function isRestore({ kind }: Step): boolean {
  return kind === "restore";
}

/** Bridge and shaper before the guests that need them. */
async function carryOut(steps: readonly Step[]): Promise<void> {
  const isNetwork = ({ kind }: Step) => kind === "network" || kind === "restore";
  for (const step of steps.filter(isNetwork)) await attempt(step);
  await Promise.all(steps.filter((step) => !isNetwork(step)).map(attempt));
}

async function attempt(step: Step): Promise<void> {
  try {
    await step.run();
  } catch (error) {
    for (const action of step.actions) action.error = error as ForknetError;
  }
}

interface Checked {
  keep: ReadonlySet<string> | undefined;
  minAgeMs: number;
  dryRun: boolean;
}

function checkOptions(options: ReconcileOptions): Checked {
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
