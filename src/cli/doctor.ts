// `forknet doctor`: what stands in the way of a network on this host, and what mends it. Exit code 1
// when there is a problem, 0 otherwise.

import type { Command } from "commander";
import { diagnose } from "../doctor/doctor.js";
import { addCommand, type Printed, print, readPath } from "./command.js";
import { formatDiagnosis } from "./doctor-report.js";
import { EXIT } from "./exit.js";

export function addDoctor(program: Command): void {
  addCommand(program, "doctor", {
    text:
      "what stands in the way of a network on this host, and the command that mends it; " +
      "exit code 1 when there is a problem, 0 when there are warnings only",
    examples: [
      "sudo forknet doctor",
      `sudo forknet doctor --bridge vmbr1 --json | jq '.findings[] | select(.severity != "ok")'`,
    ],
  })
    .option("-b, --bridge <name>", "the bridge that the network is or will be on", "vmbr0")
    .option(
      "-d, --state-dir <path>",
      "its agent's state directory, when it is not the default",
      readPath,
    )
    .action(async (options: Printed & { bridge: string; stateDir?: string }) => {
      const { bridge, stateDir } = options;
      const diagnosis = await diagnose(bridge, stateDir === undefined ? {} : { stateDir });
      print(options, diagnosis, () => formatDiagnosis(diagnosis));
      if (diagnosis.counts.problem > 0) process.exitCode = EXIT.failed;
    });
}
