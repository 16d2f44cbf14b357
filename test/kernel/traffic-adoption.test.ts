// A guest's traffic while its agent is killed and another process takes the network over:
// undisturbed, still limited.

import { expect, it, onTestFinished } from "vitest";
import { openNetwork } from "../../dist/index.js";
import { Agent } from "../support/agent.js";
import { LongFlow } from "../support/long-flow.js";
import { destroyNetwork, testOptions } from "../support/network.js";
import { expectShares, MBIT, plugIn, shareOf } from "../support/traffic-network.js";

const GATEWAY = "10.100.0.1";
const LIMIT_MBIT = 20;
const WINDOW_MS = 2000;
const WARM_UP_MS = 1000;

it("goes on through kill -9 and adoption, at its limits before, meanwhile and after", async () => {
  const options = testOptions();
  onTestFinished(async () => destroyNetwork(await openNetwork(options), options));
  const agent = new Agent();
  await agent.open(options);
  const limits = {
    download: LIMIT_MBIT * MBIT,
    upload: { rate: LIMIT_MBIT * MBIT, ceil: LIMIT_MBIT * MBIT },
  };
  const sender = await plugIn(
    await agent.fork({ instanceId: "up", instanceName: "up", ...limits }),
  );
  const receiver = await plugIn(
    await agent.fork({ instanceId: "down", instanceName: "down", ...limits }),
  );
  const upload = await LongFlow.start(sender, GATEWAY, "upload");
  const download = await LongFlow.start(receiver, GATEWAY, "download");
  await upload.settle(WARM_UP_MS);
  const expectLimits = (when: string) =>
    expectShares(async () => {
      const [up, down] = await Promise.all([upload.over(WINDOW_MS), download.over(WINDOW_MS)]);
      const shares = {
        upload: shareOf(LIMIT_MBIT * MBIT, up),
        download: shareOf(LIMIT_MBIT * MBIT, down),
      };
      return Object.fromEntries(
        Object.entries(shares).map(([name, share]) => [`${name} ${when}`, share]),
      );
    }, 0.05);

  await expectLimits("with the first agent");
  await agent.kill();
  await expectLimits("without an agent");

  // Measured across the adoption itself: a gap or a gush while filters are replaced would show.
  const next = new Agent();
  const [adopted, up, down] = await Promise.all([
    next.open(options),
    upload.over(WINDOW_MS),
    download.over(WINDOW_MS),
  ]);
  expect(adopted.map(({ instanceId, state, shaping }) => ({ instanceId, state, shaping }))).toEqual(
    expect.arrayContaining(
      ["up", "down"].map((instanceId) => ({ instanceId, state: "active", shaping: "shaped" })),
    ),
  );
  expect(shareOf(LIMIT_MBIT * MBIT, up)).toBeLessThan(1.05);
  expect(shareOf(LIMIT_MBIT * MBIT, down)).toBeLessThan(1.05);

  await expectLimits("with the next agent");
  await next.call("updateLimits", "up", { upload: "5mbit" });
  expect([upload.isRunning, download.isRunning]).toEqual([true, true]);
  await next.kill();
});
