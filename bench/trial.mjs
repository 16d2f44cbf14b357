// One trial: a program in a process and a network namespace of its own, which prints one JSON object. Before it starts
// the kernel has to have forgotten the last one.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { untilQuiet } from "./quiet.mjs";

const LONGEST_MS = 180_000;

/**
 * Runs a command in a new network namespace and returns what its last line of output says.
 * Rejects with what it wrote to stderr when it fails or takes more than three minutes.
 * @param {readonly string[]} command
 * @returns {Promise<any>}
 */
export async function runTrial(command) {
  await untilQuiet();
  const child = spawn("unshare", ["--net", "--", ...command], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: LONGEST_MS,
    killSignal: "SIGKILL",
  });
  let output = "";
  let complaint = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    complaint += text;
  });
  const [code, signal] = await once(child, "close");
  const what = command
    .map((word) => (word.startsWith("/") ? word.split("/").at(-1) : word))
    .join(" ");
  if (code !== 0)
    throw new Error(`${what} ended with ${signal ?? code}: ${complaint.trim().slice(-2000)}`);
  const line = output.trim().split("\n").at(-1) ?? "";
  try {
    return JSON.parse(line);
  } catch {
    throw new Error(
      `${what} printed no JSON but: ${line.slice(0, 200)} ${complaint.trim().slice(-500)}`,
    );
  }
}

/**
 * Runs bench/trials/<name>.mjs with these options and a state directory that is removed afterwards.
 * @param {string} name
 * @param {Record<string, unknown>} options
 * @param {readonly string[]} nodeOptions
 */
export async function runNodeTrial(name, options, nodeOptions = []) {
  const file = fileURLToPath(new URL(`./trials/${name}.mjs`, import.meta.url));
  const stateDir = mkdtempSync(join(tmpdir(), "forknet-bench-"));
  try {
    return await runTrial([
      process.execPath,
      ...nodeOptions,
      file,
      JSON.stringify({ ...options, stateDir }),
    ]);
  } finally {
    rmSync(stateDir, { recursive: true, force: true });
  }
}
