// `npm run chaos`: a whole campaign in a network namespace of its own. Ends with 1 when something was not as it should be.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadAddon } from "../src/kernel/addon.js";
import { compareKernelStates, readNetwork } from "../test/support/kernel-state.js";
import { enterNamespace } from "../test/support/namespace.js";
import { Campaign } from "./campaign.js";
import { ChaosError } from "./chaos-error.js";
import { parseOptions } from "./options.js";
import { writeReport } from "./report.js";
import { runKills } from "./series.js";

const PROGRESS_EVERY = 10;

async function run(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  enterNamespace(loadAddon());
  const { seed } = options;
  console.log(`chaos: seed ${seed}`);
  const started = performance.now();
  const netlink = new (loadAddon().Netlink)();
  const before = readNetwork(netlink);
  const stateDir = mkdtempSync(join(tmpdir(), "forknet-chaos-"));
  const campaign = new Campaign(stateDir);
  try {
    const outcome = await runKills(campaign, options, (done, all) => {
      if (done % PROGRESS_EVERY === 0 || done === all)
        console.log(`chaos: ${done} of ${all} kills`);
    });
    const left = compareKernelStates(before, readNetwork(netlink));
    if (left.length > 0) throw new ChaosError("after the network was destroyed", left);
    const seconds = (performance.now() - started) / 1000;
    const report = writeReport(options, outcome, campaign, seconds);
    console.log(`\n${report}`);
  } catch (error) {
    console.error(`chaos: failed with seed ${seed}\n${(error as Error).message}`);
    if (!(error instanceof ChaosError)) console.error((error as Error).stack);
    process.exitCode = 1;
  } finally {
    await campaign.end();
    netlink.close();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

await run();
