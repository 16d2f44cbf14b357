// events(): the life of guests as an async iterable, the same as on the diagnostics channels; what
// becomes of readers who leave, or stay until the network is closed. Slow ones: a unit test.

import { describe, expect, it } from "vitest";
import type { Network, NetworkEvent } from "../../dist/index.js";
import { published } from "../support/events.js";
import { deleteLink, makeForeignLink } from "../support/kernel-view.js";
import { BRIDGE, openForTest, poolFilled, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";

/** Reads in the background, until the network is closed. */
function follow(network: Network): { events: NetworkEvent[]; end: Promise<void> } {
  const events: NetworkEvent[] = [];
  const read = async () => {
    for await (const event of network.events()) events.push(event);
  };
  return { events, end: read() };
}

function statesOf(events: NetworkEvent[], instanceId: string): string[] {
  return events.flatMap((event) =>
    event.type === "allocation" && event.instanceId === instanceId
      ? [`${event.former} ${event.state}`]
      : [],
  );
}

describe("a guest's life is told", () => {
  it("from its reservation to its end, and the end of the network ends the reading", async () => {
    const network = await openForTest(testOptions({ pool: { size: 1 } }));
    await poolFilled(network, 1);
    const { events, end } = follow(network);
    const channel = published("forknet:allocation");
    const { shaped } = await network.createAllocation(REQUEST);
    await shaped;
    await network.updateLimits("vm-1", { download: "3mbit" });
    await network.standbyAllocation("vm-1");
    await network.recreateAllocation("vm-1");
    await network.releaseAllocation("vm-1");
    await network.close();
    await end;
    expect(statesOf(events, "vm-1")).toEqual([
      "none pending",
      "pending active",
      "active releasing",
      "releasing standby",
      "standby pending",
      "pending active",
      "active releasing",
      "releasing gone",
    ]);
    expect(events.filter(({ type }) => type === "shaped").length).toBeGreaterThanOrEqual(2);
    const allocations = events.filter(({ type }) => type === "allocation");
    expect(allocations).toEqual(channel.map((message) => ({ type: "allocation", ...message })));
  });

  it("that fails, as well", async () => {
    const network = await openForTest();
    const { events } = follow(network);
    makeForeignLink("taken0");
    const request = { ...REQUEST, tapName: "taken0" };
    await expect(network.createAllocation(request)).rejects.toThrow();
    deleteLink("taken0");
    await expect.poll(() => statesOf(events, "vm-1")).toEqual(["none pending", "pending gone"]);
  });

  it("after an adoption", async () => {
    const options = testOptions();
    const network = await openForTest(options);
    await network.createAllocation(REQUEST);
    await network.close();
    const channel = published("forknet:allocation");
    await openForTest(options);
    const told = { bridge: BRIDGE, instanceId: "vm-1", state: "active", former: "none" };
    expect(channel).toEqual([told]);
  });
});

describe("a reader", () => {
  it("who leaves, or whose signal is aborted, hears no more", async () => {
    const network = await openForTest();
    const controller = new AbortController();
    const reader = network.events({ signal: controller.signal })[Symbol.asyncIterator]();
    const waiting = reader.next();
    controller.abort();
    expect(await waiting).toEqual({ done: true, value: undefined });
    const aborted = network.events({ signal: AbortSignal.abort() })[Symbol.asyncIterator]();
    expect((await aborted.next()).done).toBe(true);
    const forked = network.createAllocation(REQUEST);
    for await (const event of network.events()) {
      expect(event).toMatchObject({ type: "allocation", former: "pending", state: "active" });
      break;
    }
    await forked;
  });
});
