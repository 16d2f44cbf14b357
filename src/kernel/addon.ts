// Loads the C++ addon, on first use and not before: importing the package must work on systems the
// addon does not exist for. The only file that knows where the binary lies.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ForknetError } from "../errors.js";
import type { Addon } from "./binding.js";

// src/kernel and dist/kernel are both two levels below the package's root.
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const binary = join(root, "build", "Release", "forknet.node");

let loaded: Addon | undefined;

/**
 * The addon. Every call in a thread returns the same object; each worker thread has one of its own.
 * Throws ERR_FORKNET_UNSUPPORTED that says what to do when there is no binary for this system, or
 * when it cannot be loaded (`cause` is then the loader's error).
 */
export function loadAddon(): Addon {
  loaded ??= load();
  return loaded;
}

function load(): Addon {
  if (process.platform !== "linux") {
    throw addonError(`forknet runs on Linux only; this is ${process.platform}`);
  }
  if (!existsSync(binary)) {
    throw addonError(
      `The forknet addon is not built: ${binary} does not exist. Build it with "npm rebuild forknet" where the package ` +
        'is a dependency, or "npm run build:addon" in its checkout; it needs g++, make and python3',
    );
  }
  try {
    return createRequire(import.meta.url)(binary) as Addon;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw addonError(
      `The forknet addon does not load on this system (Node ${process.version}, ${process.arch}): ${reason}. ` +
        'Remove the "build" directory beside it and build it again with "npm rebuild forknet"',
      cause,
    );
  }
}

function addonError(message: string, cause?: unknown): ForknetError {
  return new ForknetError("ERR_FORKNET_UNSUPPORTED", message, { cause });
}
