// What others hook into forknet may throw: spans, meters, listeners on the diagnostics channels. The
// calls go on all the same, and nothing ends the process.

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { metrics, trace } from "@opentelemetry/api";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";
import { expect, onTestFinished, test } from "vitest";
import type { Network } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { Deaths } from "../support/deaths.js";
import { brokenInvariants } from "../support/invariants.js";
import { destroyNetwork, openForTest, poolFilled, testOptions } from "../support/network.js";

const POOL = 2;

function fails(): never {
  throw new Error("of the test's telemetry");
}

/** Forks of both kinds, a change, standby, restore, release; all of them settle, and well. */
async function useEverything(network: Network): Promise<void> {
  const guests = await Promise.all(
    ["a", "b", "c", "d"].map((id) =>
      network.createAllocation({ instanceId: id, instanceName: id, upload: "5mbit" }),
    ),
  );
  await Promise.all(guests.map(({ shaped }) => shaped));
  await network.updateLimits("a", { upload: "6mbit" });
  await network.standbyAllocation("b");
  await network.recreateAllocation("b");
  await network.releaseAllocation("c");
  await network.reconcile();
  await expect.poll(() => brokenInvariants(network, new Map(), POOL)).toEqual([]);
}

/** What reaches the end of the process while the test runs; nothing may. */
function heardOfProcess(): unknown[] {
  const heard: unknown[] = [];
  const names = ["uncaughtException", "unhandledRejection"] as const;
  for (const name of names) {
    const theirs = process.listeners(name as "uncaughtException");
    const listen = (error: unknown) => void heard.push(error);
    process.removeAllListeners(name);
    process.on(name, listen);
    onTestFinished(() => {
      process.off(name, listen);
      for (const one of theirs) process.on(name, one as () => void);
    });
  }
  return heard;
}

test("spans and meters that throw", async () => {
  const heard = heardOfProcess();
  const processor = {
    onStart: fails,
    onEnd: fails,
    forceFlush: async () => {},
    shutdown: async () => {},
  };
  const meters = new MeterProvider();
  const meter = meters.getMeter("forknet");
  const createCounter = meter.createCounter.bind(meter);
  const createHistogram = meter.createHistogram.bind(meter);
  meter.createCounter = (...args) => Object.assign(createCounter(...args), { add: fails });
  meter.createHistogram = (...args) => Object.assign(createHistogram(...args), { record: fails });
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [processor] }));
  metrics.setGlobalMeterProvider({ getMeter: () => meter });
  onTestFinished(() => {
    trace.disable();
    metrics.disable();
  });
  const network = await openForTest(testOptions({ pool: { size: POOL } }));
  await poolFilled(network, POOL);
  await useEverything(network);
  // A refusal of the kernel is counted, too.
  await expect(
    network.createAllocation({ instanceId: "e", instanceName: "e", tapName: "lo" }),
  ).rejects.toMatchObject({ code: "ERR_FORKNET_CONFLICT" });
  await network.close();
  expect(heard).toEqual([]);
});

test("listeners on the diagnostics channels that throw", async () => {
  const heard = heardOfProcess();
  const channels = ["forknet:allocation", "forknet:shaped", "forknet:worker-lost"];
  for (const channel of channels) subscribe(channel, fails);
  onTestFinished(() => {
    for (const channel of channels) unsubscribe(channel, fails);
  });
  const deaths = new Deaths();
  const options = testOptions({ pool: { size: POOL } });
  const network = await openWith(options, deaths.internals);
  onTestFinished(() => destroyNetwork(network, options));
  await poolFilled(network, POOL);
  for (const worker of ["create", "shape", "reap"] as const) await deaths.idle(worker, "exit");
  deaths.none();
  await useEverything(network);
  // Node hands each of them to the process, as it does with every channel: they are the listener's own.
  expect(heard.length).toBeGreaterThan(0);
  expect(new Set(heard.map((error) => (error as Error).message))).toEqual(
    new Set(["of the test's telemetry"]),
  );
});
