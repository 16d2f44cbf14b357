// npm run mutants: breaks each promise in a copy of the built package, and fails when the suite does not notice.
// --short: those that `npm test` tries. --only TEXT: those whose name contains it.

import { execFile, execFileSync } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { mutants } from "./list.mjs";
import { programMutants } from "./programs.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const COPIED = ["dist", "src", "test", "native", "chaos", "soak", "bench", "scripts", "mutants"];
const COPIED_FILES = [
  "package.json",
  "binding.gyp",
  "vitest.config.ts",
  "README.md",
  "tsconfig.json",
];
const LONGEST_MS = 180_000;
/** vitest's exit code when tests failed. */
const TESTS_FAILED = 1;

const { values } = parseArgs({
  options: { short: { type: "boolean", default: false }, only: { type: "string", default: "" } },
});
const chosen = [...mutants, ...programMutants].filter(
  ({ name, short }) => (short || !values.short) && name.includes(values.only),
);
if (chosen.length === 0)
  throw new Error(`Expected a part of a mutant's name for --only, but received ${values.only}`);

const copy = await mkdtemp(join(tmpdir(), "forknet-mutants-"));
let survivors = 0;
try {
  for (const path of [...COPIED, ...COPIED_FILES])
    await cp(join(root, path), join(copy, path), { recursive: true });
  await symlink(join(root, "node_modules"), join(copy, "node_modules"));
  // Mutants of the programs are built into it.
  if (chosen.some(isNative))
    await cp(join(root, "build"), join(copy, "build"), { recursive: true });
  else await symlink(join(root, "build"), join(copy, "build"));
  for (const mutant of chosen) {
    const { isCaught, by } = await tried(mutant);
    if (!isCaught) survivors += 1;
    console.log(`${isCaught ? "caught  " : "SURVIVED"}  ${mutant.name}: ${mutant.promise} (${by})`);
  }
} finally {
  await rm(copy, { recursive: true, force: true });
}
console.log(`${chosen.length - survivors} of ${chosen.length} mutants caught`);
process.exitCode = survivors === 0 ? 0 : 1;

/** @param {import("./list.mjs").Mutant} mutant */
function isNative({ file }) {
  return file.startsWith("native/");
}

/** What the addon is made of has changed. */
function rebuild() {
  execFileSync("bash", ["native/bpf/generate.sh"], { cwd: copy });
  execFileSync(process.execPath, ["scripts/build-addon.mjs"], { cwd: copy, stdio: "pipe" });
}

/** @param {import("./list.mjs").Mutant} mutant */
async function tried(mutant) {
  const { name, file, from, to, test, title } = mutant;
  const path = join(copy, file);
  const original = await readFile(path, "utf8");
  if (original.split(from).length !== 2)
    throw new Error(`Expected ${file} to hold once what mutant "${name}" changes: ${from}`);
  await writeFile(
    path,
    original.replace(from, () => to),
  );
  try {
    if (isNative(mutant)) rebuild();
    return await outcome(test, title);
  } finally {
    await writeFile(path, original);
    if (isNative(mutant)) rebuild();
  }
}

/**
 * @param {string} test
 * @param {string | undefined} title
 * @returns {Promise<{ isCaught: boolean, by: string }>}
 */
function outcome(test, title) {
  const report = join(copy, "report.json");
  const [project] = test.split("/");
  const args = ["run", "--project", String(project), `test/${test}`, "--bail=1"];
  const output = ["--reporter=json", `--outputFile=${report}`];
  const named = title ? ["--testNamePattern", title] : [];
  const bin = join(root, "node_modules/.bin/vitest");
  return new Promise((resolve, reject) => {
    execFile(bin, [...args, ...named, ...output], { cwd: copy, timeout: LONGEST_MS }, (error) => {
      // A test that hangs has noticed, too; one that could not run has not.
      if (error && error.code !== TESTS_FAILED && !error.killed)
        return reject(new Error(`vitest could not run: ${error.message}`));
      if (error?.killed) return resolve({ isCaught: true, by: `${test} did not end` });
      readFile(report, "utf8").then((text) => {
        const { numTotalTests, numFailedTests } = JSON.parse(text);
        if (numTotalTests === 0) throw new Error(`No test of ${test} matches ${title}`);
        resolve({ isCaught: numFailedTests > 0, by: test });
      }, reject);
    });
  });
}
