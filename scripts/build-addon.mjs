// Builds build/Release/forknet.node with the node-gyp this package depends on. Runs at installation.
// Does nothing, silently, when the binary is newer than everything it is made of.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync, utimesSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const binary = join(root, "build", "Release", "forknet.node");

if (process.platform !== "linux") {
  console.log(`forknet: not building the addon: it needs Linux, and this is ${process.platform}`);
  process.exit(0);
}

/** Newest modification among the sources, directories included, so that a deleted file counts. */
function newest(path) {
  const status = statSync(path);
  if (!status.isDirectory()) return status.mtimeMs;
  const inside = readdirSync(path).map((name) => newest(join(path, name)));
  return Math.max(status.mtimeMs, ...inside);
}

const sources = ["native", "binding.gyp", "scripts/build-addon.mjs"].map((name) =>
  join(root, name),
);
if (existsSync(binary) && statSync(binary).mtimeMs > Math.max(...sources.map(newest))) {
  process.exit(0);
}

const started = new Date();
const environment = { ...process.env };
// Headers that lie beside the running node are the right ones, and need no network.
const prefix = dirname(dirname(process.execPath));
if (existsSync(join(prefix, "include", "node", "node_api.h"))) {
  environment.npm_config_nodedir ??= prefix;
}

const require = createRequire(import.meta.url);
const gyp = join(dirname(require.resolve("node-gyp/package.json")), "bin", "node-gyp.js");
// "configure build" and not "rebuild": only what changed is compiled again.
const result = spawnSync(
  process.execPath,
  [gyp, "configure", "build", "--release", "--loglevel=warn", "--jobs=max"],
  {
    cwd: root,
    env: environment,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  },
);

if (result.status !== 0) {
  process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
  process.stderr.write(
    `forknet: building the addon failed${result.error ? `: ${result.error.message}` : ""}.\n` +
      "It needs a C++17 compiler, make and Python 3. On Debian or Ubuntu: apt-get install g++ make python3\n",
  );
  process.exit(1);
}
process.stderr.write(result.stderr);
// make leaves the binary alone when only a test or a comment of the build changed.
utimesSync(binary, started, started);
