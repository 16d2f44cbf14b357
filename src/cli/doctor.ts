// `forknet doctor`: what stands in the way of a network on this host, and what mends it. Exit code 1
// when there is a problem, 0 otherwise.

import { Command } from "commander";
import { diagnose } from "../doctor/doctor.js";
import { formatDiagnosis } from "./doctor-report.js";

export const doctorCommand = new Command("doctor")
  .description("what stands in the way of a network on this host, and the command that mends it")
  .option("--bridge <name>", "the bridge that the network is or will be on", "vmbr0")
  .option("--json", "print one JSON object instead of text")
  .addHelpText(
    "after",
    `
Changes nothing, except that the kernel may load the modules of the features it is asked for.

Exit codes: 0 all is well or there are warnings only, 1 there is a problem.

Examples:
  sudo forknet doctor
  sudo forknet doctor --bridge vmbr1 --json | jq '.findings[] | select(.severity != "ok")'`,
  )
  .action(async ({ bridge, json }: { bridge: string; json?: boolean }) => {
    const diagnosis = await diagnose(bridge);
    const isTerminal = process.stdout.isTTY === true;
    process.stdout.write(
      json ? `${JSON.stringify(diagnosis, null, 2)}\n` : formatDiagnosis(diagnosis, isTerminal),
    );
    if (diagnosis.counts.problem > 0) process.exitCode = 1;
  });
