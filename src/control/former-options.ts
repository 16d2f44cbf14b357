// The options a network was opened with, kept in its state directory: with its agent gone, an
// operator's command opens what it left without changing it.

import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ForknetError } from "../errors.js";
import { stateDirError } from "../lease/state-dir.js";
import type { NetworkOptions, ResolvedOptions } from "../options.js";

const FILE = "options.json";

/** Throws PERMISSION or CONFIG when the directory does not take it. */
export function keepOptions(given: NetworkOptions, { stateDir, tap }: ResolvedOptions): void {
  const path = join(stateDir, FILE);
  try {
    // Who opens it next may be another user: the owner of the TAPs stays.
    const kept = JSON.stringify({ ...given, stateDir, tap }, null, 2);
    writeFileSync(`${path}.new`, `${kept}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch (error) {
    throw stateDirError(stateDir, error);
  }
}

/** There is nothing left to open. */
export function forgetOptions(stateDir: string): void {
  rmSync(join(stateDir, FILE), { force: true });
}

/**
 * As openNetwork takes and checks them, without warm slots. Throws NOT_FOUND when there are none,
 * PERMISSION when they may not be read, CONFLICT when they are another bridge's.
 */
export function formerOptions(stateDir: string, bridge: string): NetworkOptions {
  const path = join(stateDir, FILE);
  let kept: NetworkOptions;
  try {
    kept = JSON.parse(readFileSync(path, "utf8")) as NetworkOptions;
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
