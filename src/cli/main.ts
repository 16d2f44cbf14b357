#!/usr/bin/env node
// The command `forknet`: reads arguments, runs one command, sets the exit code. What a command does
// is in its own file.

import { Command, CommanderError } from "commander";
import { VERSION } from "../version.js";
import { fail } from "./command.js";
import { addDemo } from "./demo.js";
import { addDoctor } from "./doctor.js";
import { EXIT, EXIT_TEXTS } from "./exit.js";
import { addInspect } from "./inspect.js";
import { addStatus } from "./status.js";

/** The whole command; nothing runs before it is given arguments. */
function forknet(): Command {
  const program = new Command("forknet")
    .description(
      "The network of virtual machines that are created, forked from a snapshot or restored",
    )
    .version(VERSION)
    .showHelpAfterError("(forknet COMMAND --help shows the options)")
    .exitOverride();
  for (const add of [addStatus, addInspect, addDoctor, addDemo]) add(program);
  const codes = EXIT_TEXTS.map(([code, text]) => `  ${code}  ${text}\n`).join("");
  return program.addHelpText("after", `\nExit codes:\n${codes}`);
}

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

try {
  await forknet().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode ? EXIT.usage : EXIT.done;
  else fail(error, process.argv.includes("--json"));
}
