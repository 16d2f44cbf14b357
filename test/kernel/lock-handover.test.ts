// The lock of a network whose holder is killed, with others waiting for it, and of one whose opener
// is killed half-way.

import { setTimeout } from "node:timers/promises";
import { expect, it } from "vitest";
import { Agent } from "../support/agent.js";
import { compareKernelStates } from "../support/kernel-state.js";
import { readNetworkLines } from "../support/kernel-view.js";
import { openForTest, testOptions } from "../support/network.js";

const REQUEST = { instanceId: "vm-1", instanceName: "alpha" };
const WAITERS = 4;

/** Opens for as long as it takes until `former` no longer holds the network. */
async function openAfter(agent: Agent, former: Agent, options: ReturnType<typeof testOptions>) {
  for (;;) {
    try {
      return { allocations: await agent.open(options) };
    } catch (error) {
      const { code, holderPid } = error as { code?: string; holderPid?: number };
      expect(code).toBe("ERR_FORKNET_CONFLICT");
      if (holderPid !== former.pid) return { holderPid };
    }
  }
}

it("goes to exactly one of those who wait, and the others are told who it is", async () => {
  const options = testOptions();
  for (let round = 0; round < 5; round++) {
    const holder = new Agent();
    await holder.open(options);
    if (round === 0) await holder.fork(REQUEST);
    const waiters = Array.from({ length: WAITERS }, () => new Agent());
    const waiting = waiters.map((waiter) => openAfter(waiter, holder, options));
    await setTimeout(50);
    await holder.kill();
    const outcomes = await Promise.all(waiting);
    const winners = waiters.filter((_, i) => outcomes[i]?.allocations);
    expect(winners.length).toBe(1);
    const [winner] = winners as [Agent];
    for (const outcome of outcomes) {
      if (outcome.allocations) expect(outcome.allocations).toMatchObject([REQUEST]);
      else expect(outcome.holderPid).toBe(winner.pid);
    }
    await Promise.all(waiters.map((waiter) => waiter.kill()));
  }
  expect((await openForTest(options)).listAllocations()).toMatchObject([REQUEST]);
});

it("is free when its opener was killed at any moment, and nothing stays behind", async () => {
  const before = readNetworkLines();
  const options = testOptions({ pool: { size: 2 } });
  for (let round = 0; round < 12; round++) {
    const opener = new Agent();
    opener.open(options).catch(() => {});
    await setTimeout(round * 25);
    await opener.kill();
    const network = await openForTest(options);
    await network.createAllocation(REQUEST);
    await (round % 2 === 0 ? network.destroy() : network.releaseAllocation("vm-1"));
    await network.close();
  }
  await (await openForTest(options)).destroy();
  expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
});
