// `npm run e2e`: virtual machines on forknet's TAPs in a network namespace of the run's own. Ends with 1
// when a row of the report does not hold.

import { parseArgs } from "node:util";
import { enterOwnNamespace } from "../dist/cli/own-namespace.js";
import type { Attempt, Check } from "./check.js";
import { checkClones } from "./clones.js";
import { checkForks } from "./fork.js";
import { Place, type RealGuest } from "./place.js";
import { checkRates, type Limits } from "./rates.js";
import { checkReach } from "./reach.js";
import { describe, writeReport } from "./report.js";
import { checkSpoofing } from "./spoof.js";

const USAGE = `usage: npm run e2e -- [--short] [--report]
  --short    one guest, what it reaches and its rates: half a minute
  --report   write docs/e2e.md`;

const LIMITS: readonly Limits[] = [
  { download: 20_000_000, upload: 10_000_000 },
  { download: 8_000_000, upload: 4_000_000 },
  { download: 40_000_000, upload: 16_000_000 },
];
const FORKS = 4;
const MEASURED_MS = 5000;
const SHORT_MEASURED_MS = 3000;

function parse(): { short: boolean; report: boolean } {
  const flag = { type: "boolean", default: false } as const;
  try {
    return parseArgs({ options: { short: flag, report: flag } }).values;
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${USAGE}`, { cause: error });
  }
}

function bootCheck({ allocation, bootMs }: RealGuest): Check {
  const measured = `${(bootMs / 1000).toFixed(1)} s until the guest answers`;
  const guest = allocation.instanceId;
  return { scenario: "boot", guest, configured: allocation.ip, measured, holds: true };
}

async function run(): Promise<void> {
  const { short, report } = parse();
  const startMs = performance.now();
  const say = (what: string) =>
    console.log(`e2e: ${((performance.now() - startMs) / 1000).toFixed(1)} s: ${what}`);
  enterOwnNamespace("npm run e2e");
  const place = await Place.open();
  try {
    const limits = short ? LIMITS.slice(0, 1) : LIMITS;
    say(`booting ${limits.length}`);
    const guests = await Promise.all(
      limits.map(({ download, upload }, i) => {
        const name = `guest-${i + 1}`;
        const both = { rate: upload, ceil: upload };
        return place.boot({ instanceId: name, instanceName: name, download, upload: both });
      }),
    );
    const checks = guests.map(bootCheck);
    say("who reaches whom");
    checks.push(...(await checkReach(place, guests)));
    say("rates");
    checks.push(
      ...(await checkRates(place.network, guests, limits, short ? SHORT_MEASURED_MS : MEASURED_MS)),
    );
    const attempts: Attempt[] = [];
    const [first, second, ...others] = guests;
    if (first && second) {
      say("spoofing");
      attempts.push(...(await checkSpoofing(place, first, [second, ...others])));
    }
    if (!short) {
      // The forks want the machine for themselves.
      await Promise.all(guests.map(({ vm }) => vm.kill()));
      say(`a snapshot and ${FORKS} forks of it`);
      checks.push(...(await checkForks(FORKS)));
      say("clones of a snapshot that nobody tells");
      checks.push(...(await checkClones(place)));
    }
    const seconds = (performance.now() - startMs) / 1000;
    const outcome = { checks, attempts, seconds };
    const command = `npm run e2e --${short ? " --short" : ""} --report`;
    if (report) writeReport(command, outcome);
    console.log(`\n${describe(outcome)}\n`);
    const broken = [...checks, ...attempts].filter(({ holds }) => !holds).length;
    say(broken === 0 ? "everything holds" : `${broken} rows do not hold`);
    if (broken > 0) process.exitCode = 1;
  } finally {
    await place.close();
  }
}

await run();
