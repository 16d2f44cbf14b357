// Groups by traffic: the sum over a group's guests stays under its ceil and is shared fairly, who is
// outside is not affected, and a change takes effect under running connections.

import { expect, it, onTestFinished } from "vitest";
import { type Network, openNetwork } from "../../dist/index.js";
import { Agent } from "../support/agent.js";
import { LongFlow } from "../support/long-flow.js";
import { destroyNetwork, openForTest, testOptions } from "../support/network.js";
import { patiently } from "../support/patience.js";
import { expectShares, forkWarm, MBIT, plugIn, shareOf } from "../support/traffic-network.js";

const GATEWAY = "10.100.0.1";
const TOLERANCE = 0.1;
const SETTLE_MS = 1000;
const WINDOW_MS = 2000;

interface Wish {
  group?: string;
  rate: number;
  ceil: number;
}

function request(id: string, { group, rate, ceil }: Wish) {
  return {
    instanceId: id,
    instanceName: id,
    upload: { rate: rate * MBIT, ceil: ceil * MBIT },
    ...(group === undefined ? {} : { group }),
  };
}

/** A guest that uploads for as long as the test runs. */
async function sender(network: Network, id: string, wish: Wish): Promise<LongFlow> {
  const guest = await plugIn(await network.createAllocation(request(id, wish)));
  return LongFlow.start(guest, GATEWAY, "upload");
}

async function mbitOf(flows: readonly LongFlow[]): Promise<number[]> {
  const measured = await Promise.all(flows.map((flow) => flow.over(WINDOW_MS)));
  return measured.map((one) => shareOf(MBIT, one));
}

it("bounds the sum of a group's guests, shares it, and leaves others alone", async () => {
  const network = await openForTest(testOptions({ uploadCapacity: "200mbit" }));
  await network.setGroupLimits("team-a", { upload: "40mbit" });
  const wish = { group: "team-a", rate: 5, ceil: 60 };
  const flows = [
    await sender(network, "a", wish),
    await sender(network, "b", wish),
    await sender(network, "outside", { rate: 5, ceil: 60 }),
  ];
  const expectMbit = (expected: Record<string, number>, active = flows) =>
    expectShares(async () => {
      await active[0]?.settle(SETTLE_MS);
      const [a = 0, b = 0, outside = 0] = await mbitOf(active);
      const found: Record<string, number> = { a, b, outside, sum: a + b };
      return Object.fromEntries(
        Object.entries(expected).map(([name, mbit]) => [
          `${name} ${mbit}`,
          (found[name] as number) / mbit,
        ]),
      );
    }, TOLERANCE);

  await expectMbit({ a: 20, b: 20, sum: 40, outside: 60 });
  // Under the running connections: less, more, none at all, and back.
  await network.setGroupLimits("team-a", { upload: "10mbit" });
  await expectMbit({ sum: 10, outside: 60 });
  await network.setGroupLimits("team-a", { upload: { rate: "10mbit", ceil: "80mbit" } });
  await expectMbit({ a: 40, b: 40, sum: 80, outside: 60 });
  await network.setGroupLimits("team-a", null);
  await expectMbit({ a: 60, b: 60, outside: 60 });
  await network.setGroupLimits("team-a", { upload: "40mbit" });
  await expectMbit({ sum: 40, outside: 60 });
  expect(flows.map(({ isRunning }) => isRunning)).toEqual([true, true, true]);
  // What one leaves, the other borrows, up to its own ceil.
  await flows[1]?.stop();
  await expectMbit({ a: 40 }, flows.slice(0, 1));
});

it("guarantees a group its part when the capacity is wanted by all", async () => {
  const network = await openForTest(testOptions({ uploadCapacity: "60mbit" }));
  await network.setGroupLimits("team-a", { upload: { rate: "40mbit", ceil: "60mbit" } });
  const flows = [
    await sender(network, "a", { group: "team-a", rate: 1, ceil: 60 }),
    await sender(network, "b", { rate: 1, ceil: 60 }),
    await sender(network, "c", { rate: 1, ceil: 60 }),
    await sender(network, "d", { rate: 1, ceil: 60 }),
  ];
  await flows[0]?.settle(SETTLE_MS);
  await expect
    .poll(async () => (await mbitOf(flows))[0], { timeout: patiently(20_000) })
    .toBeGreaterThan(38);
});

it("bounds guests out of the pool, too, from the first second on", async () => {
  const network = await openForTest(testOptions({ pool: { size: 4 } }));
  await network.setGroupLimits("team-a", { upload: "20mbit" });
  const wish = { group: "team-a", rate: 5, ceil: 100 };
  const guests = [];
  for (const id of ["a", "b"])
    guests.push(await plugIn(await forkWarm(network, request(id, wish))));
  const flows: LongFlow[] = [];
  for (const guest of guests) flows.push(await LongFlow.start(guest, GATEWAY, "upload"));
  await expectShares(async () => {
    const [a = 0, b = 0] = await mbitOf(flows);
    return { sum: (a + b) / 20 };
  }, TOLERANCE);
});

it("keeps the bound through kill -9 and adoption", async () => {
  const options = testOptions();
  onTestFinished(async () => destroyNetwork(await openNetwork(options), options));
  const agent = new Agent();
  await agent.open(options);
  await agent.call("setGroupLimits", "team-a", { upload: "20mbit" });
  const flows: LongFlow[] = [];
  for (const id of ["a", "b"]) {
    const wish = request(id, { group: "team-a", rate: 5, ceil: 60 });
    flows.push(await LongFlow.start(await plugIn(await agent.fork(wish)), GATEWAY, "upload"));
  }
  const expectMbit = (mbit: number) =>
    expectShares(async () => {
      await flows[0]?.settle(SETTLE_MS);
      const [a = 0, b = 0] = await mbitOf(flows);
      return { sum: (a + b) / mbit };
    }, TOLERANCE);
  await expectMbit(20);
  await agent.kill();
  const next = new Agent();
  const [adopted, during] = await Promise.all([next.open(options), mbitOf(flows)]);
  expect(adopted).toMatchObject([
    { group: "team-a", shaping: "shaped" },
    { group: "team-a", shaping: "shaped" },
  ]);
  expect((during[0] ?? 0) + (during[1] ?? 0)).toBeLessThan(20 * (1 + TOLERANCE));
  await next.call("setGroupLimits", "team-a", { upload: "40mbit" });
  await expectMbit(40);
  expect(flows.map(({ isRunning }) => isRunning)).toEqual([true, true]);
  await next.kill();
});
