// updateLimits under running TCP: the goodput follows, and no connection breaks.

import { expect, it } from "vitest";
import { LongFlow } from "../support/long-flow.js";
import { openForTest, testOptions } from "../support/network.js";
import { patiently } from "../support/patience.js";
import { expectShares, MBIT, plugIn, shareOf } from "../support/traffic-network.js";

const GATEWAY = "10.100.0.1";
const TOLERANCE = 0.05;
// The queue of the former rate, and what TCP makes of the change.
const SETTLE_MS = 1000;
const WINDOW_MS = 2000;
/** For windows that are measured again; a limit that does not hold misses in every one. */
const AGAIN_MS = patiently(8000);

it("changes the goodput of running connections, both ways", async () => {
  const network = await openForTest(testOptions());
  const [sender, receiver] = await Promise.all(
    ["up", "down"].map(async (id) => {
      const limits = { download: 20 * MBIT, upload: { rate: 20 * MBIT, ceil: 20 * MBIT } };
      return plugIn(
        await network.createAllocation({ instanceId: id, instanceName: id, ...limits }),
      );
    }),
  );
  if (!sender || !receiver) throw new Error("no guests");
  const upload = await LongFlow.start(sender, GATEWAY, "upload");
  const download = await LongFlow.start(receiver, GATEWAY, "download");
  const expectMbit = (mbit: number) =>
    expectShares(async () => {
      await upload.settle(SETTLE_MS);
      const [up, down] = await Promise.all([upload.over(WINDOW_MS), download.over(WINDOW_MS)]);
      return {
        [`upload ${mbit}`]: shareOf(mbit * MBIT, up),
        [`download ${mbit}`]: shareOf(mbit * MBIT, down),
      };
    }, TOLERANCE);

  await expectMbit(20);
  for (const mbit of [60, 8]) {
    await network.updateLimits("up", { upload: { rate: mbit * MBIT, ceil: mbit * MBIT } });
    await network.updateLimits("down", { download: mbit * MBIT });
    await expectMbit(mbit);
  }
  expect([upload.isRunning, download.isRunning]).toEqual([true, true]);
});

it("takes limits away and sets them again under running connections", async () => {
  const network = await openForTest();
  const limited = { download: 80 * MBIT, upload: { rate: 80 * MBIT, ceil: 80 * MBIT } };
  const guest = await plugIn(
    await network.createAllocation({ instanceId: "a", instanceName: "a", ...limited }),
  );
  const flows = [
    await LongFlow.start(guest, GATEWAY, "upload"),
    await LongFlow.start(guest, GATEWAY, "download"),
  ];
  const shares = () =>
    Promise.all(flows.map(async (flow) => shareOf(80 * MBIT, await flow.over(WINDOW_MS / 2))));
  for (const limits of [limited, { download: null, upload: null }, limited]) {
    await network.updateLimits("a", limits);
    await flows[0]?.settle(SETTLE_MS);
    // What TCP sends again fills a hole, and all that waited behind that counts in one window. The
    // acknowledgements of the other direction are in it, too.
    if (limits === limited)
      await expect
        .poll(async () => Math.max(...(await shares())), { interval: 0, timeout: AGAIN_MS })
        .toBeLessThan(1.05);
    else expect(Math.min(...(await shares())), "unlimited").toBeGreaterThan(2);
  }
  expect(flows.map(({ isRunning }) => isRunning)).toEqual([true, true]);
});

it("lets a download go on when its bucket shrinks below the frames that wait in it", async () => {
  const network = await openForTest();
  const guest = await plugIn(
    await network.createAllocation({ instanceId: "a", instanceName: "a", download: "60mbit" }),
  );
  const flow = await LongFlow.start(guest, GATEWAY, "download");
  for (const download of ["8mbit", "60mbit", "1mbit", "60mbit", "8mbit"]) {
    await flow.settle(SETTLE_MS / 2);
    await network.updateLimits("a", { download });
    await flow.settle(SETTLE_MS);
    expect((await flow.over(SETTLE_MS)).bitsPerSecond, download).toBeGreaterThan(0);
  }
});

it("does not hold a guest without limits to the base limit", async () => {
  const network = await openForTest(testOptions({ baseLimit: "10mbit" }));
  const guest = await plugIn(
    await network.createAllocation({ instanceId: "a", instanceName: "a" }),
  );
  for (const direction of ["upload", "download"] as const) {
    const flow = await LongFlow.start(guest, GATEWAY, direction);
    await flow.settle(SETTLE_MS / 2);
    const { bitsPerSecond } = await flow.over(WINDOW_MS / 2);
    await flow.stop();
    expect(bitsPerSecond, direction).toBeGreaterThan(20 * 10 * MBIT);
  }
});
