// The telemetry contract as a whole: one run in which everything happens, and then every span with
// its attributes and parents and every metric with its kind, unit and attributes, no more and no less.

import { DataPointType } from "@opentelemetry/sdk-metrics";
import { expect, it } from "vitest";
import { deleteLink, makeForeignLink } from "../support/kernel-view.js";
import { BRIDGE, openForTest, poolFilled, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";
import { collectMetrics, finishedSpans, recordTelemetry } from "../support/telemetry.js";

recordTelemetry();

const GUEST = ["forknet.bridge", "forknet.instance_id"];
const PLACED = ["forknet.bridge", "forknet.class_id", "forknet.instance_id", "forknet.tap"];

/** Attributes that a span has at its best, and the names of the spans that may be right under it. */
const SPANS: Record<string, { attributes: string[]; children: string[] }> = {
  "forknet.open": {
    attributes: ["forknet.adopted", "forknet.bridge", "forknet.kept", "forknet.reaped"],
    children: [],
  },
  "forknet.reconcile": {
    attributes: ["forknet.bridge", "forknet.kept", "forknet.reaped", "forknet.repaired"],
    children: [],
  },
  "forknet.create_allocation": {
    attributes: [...PLACED, "forknet.slot"].sort(),
    children: ["forknet.arm", "forknet.reserve", "forknet.slot.create", "forknet.slot.wait"],
  },
  "forknet.recreate_allocation": {
    attributes: [...PLACED, "forknet.slot"].sort(),
    children: ["forknet.arm", "forknet.reserve", "forknet.slot.create", "forknet.slot.wait"],
  },
  "forknet.shape": { attributes: PLACED, children: ["forknet.shape.apply", "forknet.shape.wait"] },
  "forknet.update_limits": { attributes: GUEST, children: [] },
  "forknet.standby_allocation": {
    attributes: PLACED,
    children: ["forknet.reap.apply", "forknet.reap.wait"],
  },
  "forknet.release_allocation": {
    attributes: PLACED,
    children: ["forknet.reap.apply", "forknet.reap.wait"],
  },
};

const { GAUGE, HISTOGRAM, SUM } = DataPointType;

/** Kind, unit and attributes besides the bridge. */
const METRICS: Record<string, [DataPointType, string, string[]]> = {
  "forknet.allocations": [GAUGE, "", ["state"]],
  "forknet.guard.dropped": [SUM, "{frame}", ["reason"]],
  "forknet.kernel.errors": [SUM, "", ["error.type", "operation"]],
  "forknet.lane.depth": [GAUGE, "", ["lane"]],
  "forknet.operation.duration": [HISTOGRAM, "s", ["error.type", "operation", "slot"]],
  "forknet.pool.slots": [GAUGE, "", ["state"]],
  "forknet.reaped": [SUM, "", ["kind", "reason"]],
  "forknet.shaping.delay": [HISTOGRAM, "s", ["outcome"]],
  "forknet.worker.lost": [SUM, "", ["worker"]],
  "forknet.unclassified": [SUM, "{packet}", []],
};

/** Forks of every kind, a refusal, a change, standby, restore, release, reconcile, adoption. */
async function everything(): Promise<void> {
  const options = testOptions({ pool: { size: 2 } });
  const network = await openForTest(options);
  await poolFilled(network, 2);
  await (await network.createAllocation(REQUEST)).shaped;
  makeForeignLink("taken0");
  const refused = { instanceId: "vm-2", instanceName: "beta", tapName: "taken0" };
  await expect(network.createAllocation(refused)).rejects.toThrow();
  deleteLink("taken0");
  await network.createAllocation({ ...refused, tapName: "exact0" });
  await network.updateLimits("vm-1", { download: "3mbit" });
  await network.standbyAllocation("vm-1");
  await network.recreateAllocation("vm-1");
  await network.releaseAllocation("vm-2");
  await network.close();
  const again = await openForTest(options);
  await again.reconcile();
}

it("holds in one run, in full", async () => {
  await everything();
  const spans = finishedSpans();
  const byId = new Map(spans.map((span) => [span.spanContext().spanId, span]));
  const attributes: Record<string, Set<string>> = {};
  const children: Record<string, Set<string>> = {};
  for (const span of spans) {
    const parent = byId.get(span.parentSpanContext?.spanId ?? "");
    if (parent) {
      children[parent.name] ??= new Set();
      children[parent.name]?.add(span.name);
      expect(Object.keys(span.attributes), span.name).toEqual([]);
      continue;
    }
    expect(span.attributes["forknet.bridge"], span.name).toBe(BRIDGE);
    attributes[span.name] ??= new Set();
    const keys = Object.keys(span.attributes).filter((key) => key !== "error.type");
    for (const key of keys) attributes[span.name]?.add(key);
  }
  const found = Object.fromEntries(
    Object.entries(attributes).map(([name, keys]) => [
      name,
      { attributes: [...keys].sort(), children: [...(children[name] ?? [])].sort() },
    ]),
  );
  expect(found).toEqual(SPANS);

  const metrics = (await collectMetrics()).map(({ descriptor, dataPointType, dataPoints }) => {
    const keys = new Set(dataPoints.flatMap((point) => Object.keys(point.attributes)));
    expect(keys.delete("forknet.bridge"), descriptor.name).toBe(true);
    return [descriptor.name, [dataPointType, descriptor.unit, [...keys].sort()]];
  });
  expect(Object.fromEntries(metrics)).toEqual(METRICS);
});
