// Compiles the addon for every platform of platforms.mjs, or those that are named ("arm64"), by prebuildify:
// build/prebuilds/linux-<arch>/forknet.glibc.node. One that is newer than its sources stays. Ends with 77 when
// a compiler is missing.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { addonSources, gypEnvironment, newest, root } from "./addon-sources.mjs";
import { platforms } from "./platforms.mjs";

const MISSING_TOOL = 77;

/** Where the prebuilt addon of a platform lies. */
export function prebuiltPath({ arch }) {
  return join(root, "build", "prebuilds", `linux-${arch}`, "forknet.glibc.node");
}

function hasTool(name) {
  return spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0;
}

/** Builds one, in a copy of the sources: node-gyp clears the build folder of the place it works in. */
function build(platform) {
  const { arch, compiler, strip } = platform;
  const copy = join(root, "build", "prebuild", arch);
  rmSync(copy, { recursive: true, force: true });
  for (const name of addonSources)
    cpSync(join(root, name), join(copy, name), { recursive: true, preserveTimestamps: true });
  const bin = join(root, "node_modules", ".bin");
  const result = spawnSync(
    join(bin, "prebuildify"),
    [
      "--napi",
      "--strip",
      `--target=${process.versions.node}`,
      `--arch=${arch}`,
      "--name=forknet",
      "--tag-libc=glibc",
      `--cwd=${copy}`,
      `--out=${join(root, "build")}`,
    ],
    {
      encoding: "utf8",
      maxBuffer: 1 << 28,
      env: {
        ...gypEnvironment(),
        CXX: compiler,
        CC: compiler.replace("g++", "gcc"),
        PREBUILD_STRIP_BIN: strip,
        PREBUILD_NODE_GYP: join(bin, "node-gyp"),
      },
    },
  );
  rmSync(copy, { recursive: true, force: true });
  if (result.status === 0) return;
  process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
  throw new Error(`prebuilding the addon for ${arch} failed`, { cause: result.error });
}

/** Builds what is missing or old; false when a compiler is not there. */
export function prebuild(wanted = platforms) {
  const sources = Math.max(...addonSources.map((name) => newest(join(root, name))));
  for (const platform of wanted) {
    const path = prebuiltPath(platform);
    if (existsSync(path) && statSync(path).mtimeMs > sources) continue;
    if (!hasTool(platform.compiler)) {
      console.error(`prebuilds: ${platform.compiler} is not installed; run: npm run setup`);
      return false;
    }
    build(platform);
  }
  return true;
}

if (import.meta.filename === process.argv[1]) {
  const names = process.argv.slice(2);
  const wanted = platforms.filter(({ arch }) => names.length === 0 || names.includes(arch));
  if (!prebuild(wanted)) process.exit(MISSING_TOOL);
  for (const platform of wanted) console.log(prebuiltPath(platform));
}
