// The short form of `npm run chaos`: a few kills of each kind, with guests that send and receive throughout. And the
// campaign's own proof: what it is to find, it finds.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { Campaign } from "../../chaos/campaign.js";
import { runKills } from "../../chaos/series.js";
import { makeTap, tellKernel, withNetlink } from "../support/kernel-view.js";
import { patiently } from "../support/patience.js";

const KILLS = 3;
const WORKERS = KILLS / 3;
const AIMS = 3;
const PLAN = "standby";
const STRAY = "forknet1 /slot 10.100.0.250 02:00:0a:64:00:fa 1:fa0";

function startCampaign(): Campaign {
  const stateDir = mkdtempSync(join(tmpdir(), "forknet-chaos-test-"));
  const campaign = new Campaign(stateDir);
  onTestFinished(async () => {
    await campaign.end();
    rmSync(stateDir, { recursive: true, force: true });
  });
  return campaign;
}

it("kills of processes and workers, at random and aimed instants, leave what was acknowledged, and nothing else", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  console.log(`chaos: seed ${seed}`);
  const campaign = startCampaign();
  const outcome = await runKills(
    campaign,
    { seed, kills: KILLS, aims: AIMS, plan: PLAN },
    () => {},
  );
  expect(outcome).toMatchObject({ instants: 2, atOperations: 1, workers: WORKERS, aimed: AIMS });
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

it("a dead worker's TAP that nobody took away is found", async () => {
  const campaign = startCampaign();
  await campaign.ready();
  const dead = campaign.killWorker(1, 0, 100, { worker: "create", death: "exit" });
  const found = expect(dead).rejects.toThrow(/^left by the create worker dead.*"subject":"stray"/s);
  await expect.poll(() => campaign.tally.checks, { timeout: patiently(10_000) }).toBe(1);
  makeTap("stray", { alias: STRAY, master: "vmbr0" });
  await found;
  await campaign.clear();
});
