// Random calls of all kinds, overlapping, aborted, with kernel errors in between: whenever nothing
// is under way the network and the kernel agree, and at the end nothing is left.
// FORKNET_INTERLEAVINGS_SECONDS runs it for longer, FORKNET_SEED repeats the calls of a run (but
// not the order in which threads get to them).

import diagnostics from "node:diagnostics_channel";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Events, Network } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { Faults } from "../support/faults.js";
import { brokenInvariants } from "../support/invariants.js";
import { compareKernelStates } from "../support/kernel-state.js";
import { Model } from "../support/model.js";
import { readEverything } from "../support/network-state.js";
import { patiently } from "../support/patience.js";
import { make, type Step, step } from "../support/steps.js";

const SECONDS = Number(process.env.FORKNET_INTERLEAVINGS_SECONDS ?? 40);
const SEED = Number(process.env.FORKNET_SEED ?? Date.now() % 2 ** 31);
const LEAST_RUNS = 5;
const PAUSE_MS = 2;
/** The pool waits 100 ms and more after a failure before it refills. */
const SETTLE_MS = patiently(5000);

interface Run {
  steps: Step[];
  poolSize: number;
  unshaped: "limit" | "block";
  permille: number;
}

const faults = new Faults();

const run: fc.Arbitrary<Run> = fc.record({
  steps: fc.array(step, { minLength: 10, maxLength: 60, size: "max" }),
  poolSize: fc.constantFrom(0, 0, 2, 5),
  unshaped: fc.constantFrom("limit", "block"),
  permille: fc.constantFrom(0, 5, 20, 60),
});

/** Takes one network through the steps. */
async function play({ steps, poolSize, unshaped, permille }: Run): Promise<void> {
  const before = readEverything();
  const stateDir = mkdtempSync(join(tmpdir(), "forknet-interleavings-"));
  faults.none();
  const options = {
    bridge: "vmbr0",
    subnet: "10.100.0.0/27",
    stateDir,
    unshaped,
    translate: true,
    pool: { size: poolSize },
  };
  const network = await openWith(options, { kernelModule: faults.module });
  const model = new Model();
  let underWay: Promise<void>[] = [];
  // A slot that the pool could not get rid of is reported, and left for the next open.
  const onReapFailed = () => {
    model.rolledBack = true;
  };
  const onPoolFailed = (message: unknown) => {
    if ((message as Events["forknet:pool-failed"]).error.code === "ERR_FORKNET_ROLLBACK")
      model.rolledBack = true;
  };
  diagnostics.subscribe("forknet:reap-failed", onReapFailed);
  diagnostics.subscribe("forknet:pool-failed", onPoolFailed);
  const settle = async () => {
    await Promise.all(underWay.splice(0));
    faults.none();
    await finishReleases(network);
    expect(model.compare(network)).toEqual([]);
    // What was reported to be left behind may break the rules; at the end it has to be gone all the
    // same. The pool may report it later than any call.
    await expectAgreement(network, () => {
      const problems = brokenInvariants(network, model.limits(), poolSize);
      return model.rolledBack ? [] : problems;
    });
    model.learn(network);
    faults.random(permille);
  };
  try {
    faults.random(permille);
    for (const one of steps) {
      underWay.push(model.watch(one, make(network, one)));
      if (one.gap === "settle") await settle();
      if (one.gap === "next turn") await nextTurn();
      if (one.gap === "pause") await sleep(PAUSE_MS);
    }
    await settle();
  } finally {
    faults.none();
    await Promise.all(underWay);
    underWay = [];
    diagnostics.unsubscribe("forknet:reap-failed", onReapFailed);
    diagnostics.unsubscribe("forknet:pool-failed", onPoolFailed);
    await network.destroy();
    rmSync(stateDir, { recursive: true });
  }
  expect(compareKernelStates(before, readEverything())).toEqual([]);
}

/** A release that the kernel refused may be repeated, and then succeeds. */
async function finishReleases(network: Network): Promise<void> {
  for (const { instanceId, state } of network.listAllocations()) {
    if (state === "releasing") await network.releaseAllocation(instanceId);
  }
}

/**
 * Limits of guests and slots of the pool are still on their way when the last call has been
 * answered.
 */
async function expectAgreement(network: Network, problems: () => string[]): Promise<void> {
  const active = network.listAllocations().filter(({ state }) => state === "active");
  await Promise.allSettled(active.map(({ shaped }) => shaped));
  const deadline = performance.now() + SETTLE_MS;
  let found = problems();
  while (found.length > 0 && performance.now() < deadline) {
    await sleep(PAUSE_MS);
    found = problems();
  }
  expect(found).toEqual([]);
}

test("whatever overlaps, network and kernel agree", {
  timeout: SECONDS * 1000 + patiently(60_000),
}, async () => {
  console.log(`interleavings: ${SECONDS} s with FORKNET_SEED=${SEED}`);
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(run, async (one) => {
      await play(one);
      runs++;
    }),
    {
      seed: SEED,
      numRuns: 1_000_000,
      interruptAfterTimeLimit: SECONDS * 1000,
      // A failure depends on timing: a shorter run that passes would say nothing.
      endOnFailure: true,
    },
  );
  console.log(`interleavings: ${runs} runs`);
  expect(runs).toBeGreaterThanOrEqual(LEAST_RUNS);
});
