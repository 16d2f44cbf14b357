// What a host's tracing and metrics see: a fork's trace holds the blocking steps only, shaping is a
// trace of its own that is linked to it, and every metric has its source.

import { SpanStatusCode, trace } from "@opentelemetry/api";
import { describe, expect, it } from "vitest";
import { udpFrame } from "../support/frames.js";
import { deleteLink, makeForeignLink } from "../support/kernel-view.js";
import { BRIDGE, openForTest, poolFilled, testOptions } from "../support/network.js";
import { RawTap } from "../support/raw-tap.js";
import { REQUEST } from "../support/requests.js";
import {
  childrenOf,
  collectErrors,
  forgetSpans,
  onlySpan,
  readMetric,
  recordTelemetry,
  spansNamed,
  traceOf,
} from "../support/telemetry.js";

recordTelemetry();

describe("the trace of a fork", () => {
  it("that is cold has reserve, slot.wait, slot.create and arm under it, and nothing else", async () => {
    const network = await openForTest();
    const { tap, classId } = await network.createAllocation(REQUEST);
    const fork = onlySpan("forknet.create_allocation");
    expect(fork.parentSpanContext).toBeUndefined();
    const steps = ["forknet.reserve", "forknet.slot.wait", "forknet.slot.create", "forknet.arm"];
    expect(childrenOf(fork)).toEqual(steps);
    expect(traceOf(fork)).toEqual(["forknet.create_allocation", ...steps].sort());
    expect(fork.attributes).toEqual({
      "forknet.instance_id": "vm-1",
      "forknet.tap": tap,
      "forknet.bridge": BRIDGE,
      "forknet.class_id": classId,
      "forknet.slot": "cold",
    });
    expect(fork.status.code).toBe(SpanStatusCode.UNSET);
    expect(fork.instrumentationScope.name).toBe("forknet");
    // Final limits come with the slot.
    expect(spansNamed("forknet.shape")).toEqual([]);
  });

  it("that is warm has reserve and arm under it, and shaping is a linked trace of its own", async () => {
    const network = await openForTest(testOptions({ pool: { size: 2 } }));
    await poolFilled(network, 2);
    const { tap, classId, shaped } = await network.createAllocation(REQUEST);
    await shaped;
    const fork = onlySpan("forknet.create_allocation");
    expect(childrenOf(fork)).toEqual(["forknet.reserve", "forknet.arm"]);
    expect(traceOf(fork)).toEqual(["forknet.arm", "forknet.create_allocation", "forknet.reserve"]);
    expect(fork.attributes["forknet.slot"]).toBe("warm");

    const shape = onlySpan("forknet.shape");
    expect(shape.parentSpanContext).toBeUndefined();
    expect(shape.spanContext().traceId).not.toBe(fork.spanContext().traceId);
    expect(shape.links.map((link) => link.context.spanId)).toEqual([fork.spanContext().spanId]);
    expect(childrenOf(shape)).toEqual(["forknet.shape.wait", "forknet.shape.apply"]);
    expect(shape.attributes).toEqual({
      "forknet.instance_id": "vm-1",
      "forknet.tap": tap,
      "forknet.bridge": BRIDGE,
      "forknet.class_id": classId,
    });
  });

  it("stands under the caller's span; its shaping does not", async () => {
    const network = await openForTest(testOptions({ pool: { size: 2 } }));
    await poolFilled(network, 2);
    const tracer = trace.getTracer("agent");
    await tracer.startActiveSpan("start-vm", async (span) => {
      await (await network.createAllocation(REQUEST)).shaped;
      span.end();
    });
    const agent = onlySpan("start-vm");
    expect(childrenOf(agent)).toEqual(["forknet.create_allocation"]);
    expect(onlySpan("forknet.shape").spanContext().traceId).not.toBe(agent.spanContext().traceId);
  });

  it("that fails says so, with the code", async () => {
    const network = await openForTest();
    makeForeignLink("taken0");
    await expect(network.createAllocation({ ...REQUEST, tapName: "taken0" })).rejects.toThrow();
    deleteLink("taken0");
    const fork = onlySpan("forknet.create_allocation");
    expect(fork.status.code).toBe(SpanStatusCode.ERROR);
    expect(fork.attributes["error.type"]).toBe("ERR_FORKNET_CONFLICT");
    expect(fork.events.map(({ name }) => name)).toEqual(["exception"]);
    expect(childrenOf(fork)).not.toContain("forknet.arm");
  });
});

it("traces release, standby and restore with what they wait for", async () => {
  const network = await openForTest();
  await network.createAllocation(REQUEST);
  await network.standbyAllocation("vm-1");
  await network.recreateAllocation("vm-1");
  await network.releaseAllocation("vm-1");
  const reap = ["forknet.reap.wait", "forknet.reap.apply"];
  expect(childrenOf(onlySpan("forknet.standby_allocation"))).toEqual(reap);
  expect(childrenOf(onlySpan("forknet.release_allocation"))).toEqual(reap);
  const restore = onlySpan("forknet.recreate_allocation");
  expect(childrenOf(restore)).toEqual([
    "forknet.reserve",
    "forknet.slot.wait",
    "forknet.slot.create",
    "forknet.arm",
  ]);
  expect(restore.attributes).toMatchObject({
    "forknet.instance_id": "vm-1",
    "forknet.slot": "cold",
  });
});

it("traces open and reconcile with what they found", async () => {
  const options = testOptions();
  const first = await openForTest(options);
  await first.createAllocation(REQUEST);
  await first.createAllocation({ instanceId: "vm-2", instanceName: "beta" });
  await first.standbyAllocation("vm-2");
  await first.close();
  forgetSpans();
  const second = await openForTest(options);
  expect(onlySpan("forknet.open").attributes).toEqual({
    "forknet.bridge": BRIDGE,
    "forknet.adopted": 1,
    "forknet.kept": 1,
    "forknet.reaped": 0,
  });
  await second.reconcile({ keep: ["vm-1"] });
  // Before it ran the pass that follows an adoption.
  expect(spansNamed("forknet.reconcile").map(({ attributes }) => attributes)).toMatchObject([
    { "forknet.kept": 2, "forknet.reaped": 0, "forknet.repaired": 0 },
    { "forknet.kept": 1, "forknet.reaped": 1, "forknet.repaired": 0 },
  ]);
  await expect(openForTest(options)).rejects.toThrow();
  expect(spansNamed("forknet.open").at(-1)?.attributes["error.type"]).toBe("ERR_FORKNET_CONFLICT");
});

describe("metrics", () => {
  it("count guests, slots, jobs and calls", async () => {
    const network = await openForTest(testOptions({ pool: { size: 2 } }));
    await poolFilled(network, 2);
    const before = await readMetric("forknet.operation.duration");
    const cold = network.createAllocation({ ...REQUEST, tapName: "tap-one" });
    expect((await readMetric("forknet.allocations")).get("pending")).toBe(1);
    expect((await readMetric("forknet.lane.depth")).get("create")).toBe(1);
    await cold;
    await (await network.createAllocation({ instanceId: "vm-2", instanceName: "beta" })).shaped;
    await poolFilled(network, 2);
    await network.standbyAllocation("vm-1");
    await network.createAllocation(REQUEST).catch(() => {});
    expect(Object.fromEntries(await readMetric("forknet.allocations"))).toEqual({
      pending: 0,
      active: 1,
      standby: 1,
      releasing: 0,
    });
    expect(Object.fromEntries(await readMetric("forknet.lane.depth"))).toEqual({
      create: 0,
      shape: 0,
      reap: 0,
    });
    expect(Object.fromEntries(await readMetric("forknet.pool.slots"))).toEqual({
      ready: 2,
      making: 0,
    });
    const after = await readMetric("forknet.operation.duration");
    const grown = [...after]
      .filter(([key, count]) => count > (before.get(key) ?? 0))
      .map(([key]) => key);
    expect(grown).toEqual(
      expect.arrayContaining([
        "create_allocation renamed",
        "create_allocation warm",
        "standby_allocation",
        "ERR_FORKNET_ID_EXISTS create_allocation",
      ]),
    );
    expect((await readMetric("forknet.shaping.delay")).get("shaped")).toBeGreaterThan(0);
    expect((await readMetric("forknet.reaped")).get("tap standby")).toBeGreaterThan(0);
  });

  it("count refusals of the kernel and frames that were dropped", async () => {
    const network = await openForTest();
    makeForeignLink("taken0");
    await expect(network.createAllocation({ ...REQUEST, tapName: "taken0" })).rejects.toThrow();
    deleteLink("taken0");
    expect(
      (await readMetric("forknet.kernel.errors")).get("ERR_FORKNET_CONFLICT create"),
    ).toBeGreaterThan(0);

    const { tap, ip, gateway } = await network.createAllocation(REQUEST);
    const raw = new RawTap({ tap });
    const addresses = {
      destination: "02:00:0a:64:00:01",
      sourceIp: ip,
      destinationIp: gateway,
      destinationPort: 9,
    };
    raw.send(udpFrame({ source: "02:00:00:00:00:99", ...addresses }));
    await expect.poll(async () => (await readMetric("forknet.guard.dropped")).get("mac")).toBe(1);
    raw.close();
    expect((await readMetric("forknet.unclassified")).get("")).toBe(0);
    expect(network.drops()).toMatchObject({ mac: 1, unclassified: 0 });
  });

  it("end with their network", async () => {
    const network = await openForTest();
    expect(await collectErrors()).toEqual([]);
    // A gauge that lived on would read a map that is closed by now.
    await network.destroy();
    expect(await collectErrors()).toEqual([]);
  });
});
