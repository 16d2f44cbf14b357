// The compiled peers: builds them when they are older than their sources. Go and its library may be missing; then the
// peer is left out and the report says so.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const output = join(here, "..", "build", "bench");

/**
 * @typedef {object} Programs Where each peer's program is.
 * @property {string} floor
 * @property {string} opener
 * @property {string | undefined} usual undefined when it cannot be built
 * @property {string | undefined} usualMissing why
 */

/**
 * Builds what is out of date. Throws when the C++ programs do not compile.
 * @returns {Programs}
 */
export function buildPrograms() {
  mkdirSync(output, { recursive: true });
  const go = { GO111MODULE: "off", GOPATH: "/usr/share/gocode", GOFLAGS: "" };
  const usualMissing = build("usual", "peers/usual", ["go", "build", "-o"], ["."], go);
  return {
    floor: must(compile("floor"), "floor"),
    opener: must(compile("opener"), "opener"),
    usual: usualMissing === undefined ? join(output, "usual") : undefined,
    usualMissing,
  };
}

/** @param {string} name */
function compile(name) {
  return build(
    name,
    "floor",
    ["g++", "-std=c++17", "-O2", "-Wall", "-Wextra", "-o"],
    [`${name}.cc`],
  );
}

/**
 * @param {string | undefined} complaint
 * @param {string} name
 */
function must(complaint, name) {
  if (complaint !== undefined) throw new Error(`bench/floor/${name}.cc: ${complaint}`);
  return join(output, name);
}

/**
 * @param {string} name
 * @param {string} folder with its sources
 * @param {readonly string[]} before the command up to the name of its output
 * @param {readonly string[]} after the rest of it
 * @param {Record<string, string>} environment
 * @returns {string | undefined} the compiler's complaint, undefined when all is well
 */
function build(name, folder, before, after, environment = {}) {
  const target = join(output, name);
  const source = join(here, folder);
  const newest = Math.max(
    ...readdirSync(source).map((file) => statSync(join(source, file)).mtimeMs),
  );
  if (existsSync(target) && statSync(target).mtimeMs > newest) return undefined;
  const [command, ...args] = /** @type {[string, ...string[]]} */ ([...before, target, ...after]);
  const env = { ...process.env, ...environment };
  const { status, stderr, error } = spawnSync(command, args, {
    cwd: source,
    env,
    encoding: "utf8",
  });
  return status === 0 ? undefined : (error?.message ?? stderr.trim()) || `ended with ${status}`;
}
