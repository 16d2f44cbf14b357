// The short form of `npm run chaos`: a few kills of each kind, with guests that send and receive throughout. And the
// campaign's own proof: what it is to find, it finds.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { Campaign } from "../../chaos/campaign.js";
import { runKills } from "../../chaos/series.js";
import { tellKernel, withNetlink } from "../support/kernel-view.js";

const KILLS = 4;
const AIMS = 4;
const PLAN = "standby";

function startCampaign(): Campaign {
  const stateDir = mkdtempSync(join(tmpdir(), "forknet-chaos-test-"));
  const campaign = new Campaign(stateDir);
  onTestFinished(async () => {
    await campaign.end();
    rmSync(stateDir, { recursive: true, force: true });
  });
  return campaign;
}

it("kills at random and aimed instants leave what was acknowledged, and nothing else", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`chaos: seed ${seed}`);
  const campaign = startCampaign();
  const outcome = await runKills(
    campaign,
    { seed, kills: KILLS, aims: AIMS, plan: PLAN },
    () => {},
  );
  expect(outcome).toMatchObject({ instants: KILLS / 2, atOperations: KILLS / 2, aimed: AIMS });
  expect(campaign.tally.acknowledged).toBeGreaterThan(0);
  expect(campaign.metered.windows).toBeGreaterThan(0);
  expect(campaign.frames.uploaded).toBeGreaterThan(0);
  expect(campaign.frames.downloaded).toBeGreaterThan(0);
});

it("a guest's TAP that is gone after a kill is found", async () => {
  const campaign = startCampaign();
  await campaign.ready();
  await campaign.killAfterOperations(1, 0, 1000);
  const kept = withNetlink((netlink) =>
    netlink.links({ kind: "tun" }).find(({ alias }) => alias.startsWith("forknet1 kept-0 ")),
  );
  tellKernel({ op: "link.delete", ifindex: kept?.ifindex ?? 0 });
  await expect(campaign.killAfterOperations(2, 0, 10)).rejects.toThrow(
    /kept-0 is absent, and may be active/,
  );
  await campaign.clear();
});
