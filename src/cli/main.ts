#!/usr/bin/env node
// The command `forknet`: reads arguments, runs one command, sets the exit code. What a command does
// is in its own file.

import { Command } from "commander";
import { ForknetError } from "../errors.js";
import { VERSION } from "../version.js";
import { runDemo } from "./demo.js";
import { doctorCommand } from "./doctor.js";

const program = new Command("forknet")
  .description(
    "The network of virtual machines that are created, forked from a snapshot or restored",
  )
  .version(VERSION);

program
  .command("demo")
  .description(
    "the main job on a real kernel, in a network namespace of its own that goes with it (needs root)",
  )
  .option("--json", "print one JSON object instead of text")
  .action((options: { json?: boolean }) => runDemo({ json: options.json ?? false }));

program.addCommand(doctorCommand);

try {
  await program.parseAsync();
} catch (error) {
  const { code, message } = error as ForknetError;
  process.stderr.write(`forknet: ${error instanceof ForknetError ? `${code}: ` : ""}${message}\n`);
  process.exitCode = 1;
}
