#!/usr/bin/env node
// The command `forknet`: reads arguments, runs one command, sets the exit code. What a command does
// is in its own file.

import { Command, CommanderError } from "commander";
import { VERSION } from "../version.js";
import { addBench } from "./bench.js";
import { fail } from "./command.js";
import { addCompletion } from "./completion.js";
import { addDemo } from "./demo.js";
import { addDestroy } from "./destroy.js";
import { addDoctor } from "./doctor.js";
import { EXIT, EXIT_TEXTS } from "./exit.js";
import { addInspect } from "./inspect.js";
import { addLimits } from "./limits.js";
import { addReconcile } from "./reconcile.js";
import { addRelease } from "./release.js";
import { addStatus } from "./status.js";
import { addTop } from "./top.js";
import { addVerify } from "./verify.js";

/** In the order of the help. */
const COMMANDS = [
  addStatus,
  addTop,
  addInspect,
  addVerify,
  addReconcile,
  addLimits,
  addRelease,
  addDestroy,
  addDoctor,
  addDemo,
  addBench,
  addCompletion,
];

/** The whole command; nothing runs before it is given arguments. */
function forknet(): Command {
  const program = new Command("forknet")
    .description(
      "The network of virtual machines that are created, forked from a snapshot or restored",
    )
    .version(VERSION)
    .showHelpAfterError("(forknet COMMAND --help shows the options)")
    .exitOverride();
  for (const add of COMMANDS) add(program);
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
