// What the addon is made of and where Node's headers lie, for the scripts that build it.
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

export const root = dirname(import.meta.dirname);

/** Files and folders, from the package's root. */
export const addonSources = ["native", "binding.gyp"];

/** Newest modification under a path, directories included, so that a deleted file counts. */
export function newest(path) {
  const status = statSync(path);
  if (!status.isDirectory()) return status.mtimeMs;
  const inside = readdirSync(path).map((name) => newest(join(path, name)));
  return Math.max(status.mtimeMs, ...inside);
}

/** The environment for node-gyp. Headers beside the running node are the right ones, and need no network. */
export function gypEnvironment() {
  const environment = { ...process.env, npm_config_jobs: "max" };
  const prefix = dirname(dirname(process.execPath));
  if (existsSync(join(prefix, "include", "node", "node_api.h"))) {
    environment.npm_config_nodedir ??= prefix;
  }
  return environment;
}
