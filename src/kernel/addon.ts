// Loads the C++ addon, on first use and not before: importing the package must work on systems the
// addon does not exist for. The only file that knows where the binary lies: built here, or in the package
// for this platform.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ForknetError } from "../errors.js";
import type { Addon } from "./binding.js";

const require = createRequire(import.meta.url);
// src/kernel and dist/kernel are both two levels below the package's root.
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** Built here, by "npm run build:addon". Comes first: whoever built it meant it. */
const localBinary = join(root, "build", "Release", "forknet.node");
/** What npm installs beside forknet where a prebuilt addon exists (scripts/packages.mjs). */
const prebuiltPackage = `@forknet/linux-${process.arch}-gnu`;

const BUILD_HINT =
  '"npm explore forknet -- npm run build:addon" where the package is a dependency, "npm run build:addon" in its ' +
  "checkout; it needs g++, make and python3";

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
  const binary = existsSync(localBinary) ? localBinary : resolvePrebuilt();
  if (binary === undefined) {
    throw addonError(
      `The forknet addon is not there: neither the package ${prebuiltPackage} nor ${localBinary}. Install without ` +
        `"--omit=optional", or build it: ${BUILD_HINT}`,
    );
  }
  try {
    return require(binary) as Addon;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw addonError(
      `The forknet addon does not load on this system (Node ${process.version}, ${process.arch}): ${reason}. ` +
        `Build it here: ${BUILD_HINT}`,
      cause,
    );
  }
}

function resolvePrebuilt(): string | undefined {
  try {
    return require.resolve(prebuiltPackage);
  } catch {
    return undefined;
  }
}

function addonError(message: string, cause?: unknown): ForknetError {
  return new ForknetError("ERR_FORKNET_UNSUPPORTED", message, { cause });
}
