// Makes the packages as they are published, in build/packages, each a folder and a .tgz: the main one, and one for
// every platform with a prebuilt addon. The main one names those as optional dependencies. They stand here and not
// in package.json because npm would look for them in a registry whenever a checkout is installed.
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { root } from "./addon-sources.mjs";
import { packageName, platforms } from "./platforms.mjs";
import { prebuild, prebuiltPath } from "./prebuilds.mjs";

export const packagesFolder = join(root, "build", "packages");
const MISSING_TOOL = 77;

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const { version, license, keywords, engines } = manifest;

function writeJson(path, value) {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** npm pack of a folder, into packagesFolder; the .tgz's path. */
function pack(folder) {
  const flags = ["--ignore-scripts", "--json", "--pack-destination", packagesFolder];
  const output = execFileSync("npm", ["pack", folder, ...flags], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  // npm 11 prints a list, npm 12 an object by name.
  const [report] = Object.values(JSON.parse(output));
  return join(packagesFolder, basename(report.filename));
}

/** package.json of the main package as published: without what only a checkout has. */
function publishedManifest() {
  const { devDependencies: _, scripts, ...rest } = manifest;
  return {
    ...rest,
    scripts: { "build:addon": scripts["build:addon"] },
    optionalDependencies: Object.fromEntries(
      platforms.map((platform) => [packageName(platform), version]),
    ),
  };
}

/** What `files` of package.json lets through, with the published manifest. */
function packMain() {
  const bare = pack(root);
  const folder = join(packagesFolder, "forknet");
  mkdirSync(folder);
  execFileSync("tar", ["-xzf", bare, "-C", folder, "--strip-components=1"]);
  writeJson(join(folder, "package.json"), publishedManifest());
  return pack(folder);
}

function packPlatform(platform) {
  const name = packageName(platform);
  const folder = join(packagesFolder, `linux-${platform.arch}-gnu`);
  mkdirSync(folder);
  copyFileSync(prebuiltPath(platform), join(folder, "forknet.node"));
  copyFileSync(join(root, "LICENSE"), join(folder, "LICENSE"));
  writeFileSync(
    join(folder, "README.md"),
    `# ${name}\n\nThe addon of [forknet](https://www.npmjs.com/package/forknet) for Linux, ${platform.arch}, glibc.\n` +
      "It is installed with forknet; there is nothing to use in it by itself.\n",
  );
  writeJson(join(folder, "package.json"), {
    name,
    version,
    description: `The addon of forknet for Linux, ${platform.arch}, glibc`,
    license,
    keywords,
    type: "commonjs",
    main: "./forknet.node",
    files: ["forknet.node"],
    os: ["linux"],
    cpu: [platform.arch],
    libc: ["glibc"],
    engines,
  });
  return pack(folder);
}

/** Makes all of them anew; undefined when a compiler is not there. */
export function makePackages() {
  if (!prebuild()) return undefined;
  rmSync(packagesFolder, { recursive: true, force: true });
  mkdirSync(packagesFolder, { recursive: true });
  return { main: packMain(), platforms: platforms.map(packPlatform) };
}

if (import.meta.filename === process.argv[1]) {
  const made = makePackages();
  if (!made) process.exit(MISSING_TOOL);
  for (const path of [made.main, ...made.platforms]) console.log(path);
}
