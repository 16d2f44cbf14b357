// Builds build/Release/forknet.node with node-gyp: in a checkout the project's, in an installed package the one
// that comes with npm. Does nothing, silently, when the binary is newer than everything it is made of.
import { spawnSync } from "node:child_process";
import { existsSync, statSync, utimesSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { addonSources, gypEnvironment, newest, root } from "./addon-sources.mjs";

const binary = join(root, "build", "Release", "forknet.node");

if (process.platform !== "linux") {
  console.log(`forknet: not building the addon: it needs Linux, and this is ${process.platform}`);
  process.exit(0);
}

const sources = [...addonSources, "scripts/build-addon.mjs"].map((name) => join(root, name));
if (existsSync(binary) && statSync(binary).mtimeMs > Math.max(...sources.map(newest))) {
  process.exit(0);
}

/** The program to run: node-gyp is a development dependency, and npm names its own to the scripts it runs. */
function findGyp() {
  try {
    const manifest = createRequire(import.meta.url).resolve("node-gyp/package.json");
    return join(dirname(manifest), "bin", "node-gyp.js");
  } catch {
    const ofNpm = process.env.npm_config_node_gyp;
    if (ofNpm) return ofNpm;
    process.stderr.write('forknet: node-gyp not found: start this with "npm run build:addon"\n');
    process.exit(1);
  }
}

const started = new Date();
// "configure build" and not "rebuild": only what changed is compiled again.
const result = spawnSync(
  process.execPath,
  [findGyp(), "configure", "build", "--release", "--loglevel=warn"],
  {
    cwd: root,
    env: gypEnvironment(),
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
