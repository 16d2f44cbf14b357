// The options a network was opened with, kept in its state directory: with its agent gone, an
// operator's command opens what it left without changing it.

import { join } from "node:path";
import { ForknetError } from "../errors.js";
import type { NetworkOptions, ResolvedOptions } from "../options.js";
import type { Directory } from "../state/directory.js";
import { stateDirError } from "../state/disk-error.js";
import type { StateDir } from "../state/state-dir.js";

const FILE = "options.json";

/** Rejects with PERMISSION or CONFIG when the directory does not take it. */
export async function keepOptions(
  dir: StateDir,
  given: NetworkOptions,
  { stateDir, tap }: ResolvedOptions,
): Promise<void> {
  // Who opens it next may be another user: the owner of the TAPs stays.
  const text = `${JSON.stringify({ ...given, stateDir, tap }, null, 2)}\n`;
  dir.keep(FILE, () => ({ text, records: 0 }));
  try {
    await dir.write(FILE, text);
  } catch (error) {
    throw stateDirError(stateDir, error);
  }
}

/** There is nothing left to open. */
export async function forgetOptions(dir: StateDir): Promise<void> {
  await dir.remove(FILE);
}

/**
 * As openNetwork takes and checks them, without warm slots. Throws NOT_FOUND when there are none,
 * PERMISSION when they may not be read, CONFLICT when they are another bridge's. `dir` is undefined
 * when `stateDir` does not exist.
 */
export function formerOptions(
  dir: Directory | undefined,
  stateDir: string,
  bridge: string,
): NetworkOptions {
  const path = join(stateDir, FILE);
  let kept: NetworkOptions;
  try {
    const reading = dir?.read(FILE);
    if (!reading) throw Object.assign(new Error(path), { code: "ENOENT" });
    if (reading.fault !== "") throw new Error(reading.fault);
    kept = JSON.parse(reading.content.toString("utf8")) as NetworkOptions;
  } catch (error) {
    throw unreadable(path, bridge, error);
  }
  if (kept?.bridge !== bridge) {
    const text = `${path} is of the network on ${String(kept?.bridge)}, not on ${bridge}`;
    throw new ForknetError("ERR_FORKNET_CONFLICT", text);
  }
  return { ...kept, stateDir, pool: { size: 0 } };
}

function unreadable(path: string, bridge: string, error: unknown): ForknetError {
  const { code } = error as NodeJS.ErrnoException;
  const remedy = "say with --state-dir where its agent kept its state, or start the agent";
  const text = `no process has the network on ${bridge} open, and ${path} does not tell how to open it (${code ?? "it is damaged"}): ${remedy}`;
  const isDenied = code === "EACCES" || code === "EPERM";
  return new ForknetError(isDenied ? "ERR_FORKNET_PERMISSION" : "ERR_FORKNET_NOT_FOUND", text, {
    cause: error,
  });
}
