// Builds libFuzzer's targets of native/fuzz and runs them, two at a time, from the checked-in corpus. An input that
// breaks a target is written into that corpus, where every later run replays it.
//   npm run fuzz -- [--seconds N] [--target NAME]... [--seed N] [--report]
// --seconds is for each target; 0 only replays the corpus. Exits with 77 when there is no clang to build with.
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { describeCommit } from "../bench/machine.mjs";
import { writeReport } from "./fuzz-report.mjs";

const COMPILER = "clang++-19";
/** What all targets take together when nobody says how long. */
const DEFAULT_SECONDS_IN_TOTAL = 600;
const JOBS = 2;
const LONGEST_INPUT_BYTES = 4096;
const INPUT_TIMEOUT_S = 10;
const NO_COMPILER = 77;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const build = join(root, "build", "fuzz");
const sources = join(root, "native", "fuzz");
const targets = readdirSync(sources)
  .map((file) => /^(\w+)_fuzz\.cc$/.exec(file)?.[1])
  .filter((name) => name !== undefined);

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string" },
    target: { type: "string", multiple: true },
    seed: { type: "string" },
    report: { type: "boolean", default: false },
  },
});

/** Whole number of an option, or the fallback; leaves with a message when it is none. */
function wholeNumber(/** @type {"seconds" | "seed"} */ name, /** @type {number} */ fallback) {
  const text = options[name];
  if (text === undefined) return fallback;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  console.error(`fuzz: Expected a whole number for --${name}, but received '${text}'`);
  process.exit(2);
}

function compile() {
  const configure = ["--preset", "fuzz", "-S", join(root, "native")];
  const make = ["--build", build, "--parallel", String(availableParallelism())];
  for (const args of [configure, make]) {
    const { status, stdout, stderr } = spawnSync("cmake", args, { encoding: "utf8" });
    if (status === 0) continue;
    console.error(`${stdout}${stderr}fuzz: building the targets failed`);
    process.exit(1);
  }
}

/** One target's run, by the last figures that libFuzzer prints. */
async function fuzz(
  /** @type {string} */ target,
  /** @type {number} */ seconds,
  /** @type {number} */ seed,
) {
  const corpus = join(sources, "corpus", target);
  const found = join(build, "found", target);
  // Starts from the checked-in corpus alone, so that a seed says what a run does.
  rmSync(found, { recursive: true, force: true });
  mkdirSync(found, { recursive: true });
  const limits = [`-max_len=${LONGEST_INPUT_BYTES}`, `-timeout=${INPUT_TIMEOUT_S}`];
  const length = seconds === 0 ? "-runs=0" : `-max_total_time=${seconds}`;
  const output = [`-artifact_prefix=${corpus}/`, "-print_final_stats=1", `-seed=${seed}`];
  const started = process.hrtime.bigint();
  const child = spawn(
    "nice",
    ["-n", "19", join(build, `fuzz_${target}`), ...limits, length, ...output, found, corpus],
    { env: { ...process.env, ASAN_OPTIONS: "quarantine_size_mb=16" } },
  );
  let log = "";
  child.stdout.on("data", (text) => {
    log += text;
  });
  child.stderr.on("data", (text) => {
    log += text;
  });
  const status = await new Promise((resolve) => child.once("close", resolve));
  const figures = [...log.matchAll(/cov: (\d+) ft: (\d+)(?: corp: (\d+))?/g)].at(-1) ?? [];
  const number = (/** @type {string | undefined} */ text) => Number(text ?? 0);
  if (status !== 0) console.error(log.split("\n").slice(-40).join("\n"));
  return {
    target,
    executions: number(/number_of_executed_units: (\d+)/.exec(log)?.[1]),
    seeds: readdirSync(corpus).length,
    corpus: number(figures[3]),
    coverage: number(figures[1]),
    features: number(figures[2]),
    seconds: Number((process.hrtime.bigint() - started) / 1_000_000n) / 1000,
    crashed: status !== 0,
  };
}

const chosen = options.target ?? targets;
const unknown = chosen.find((name) => !targets.includes(name));
if (unknown !== undefined) {
  console.error(`fuzz: there is no target '${unknown}'; there are ${targets.join(", ")}`);
  process.exit(2);
}
if (spawnSync(COMPILER, ["--version"]).status !== 0) {
  console.error(`fuzz: ${COMPILER} is not installed; run: npm run setup`);
  process.exit(NO_COMPILER);
}
const seconds = wholeNumber("seconds", Math.floor(DEFAULT_SECONDS_IN_TOTAL / chosen.length));
const seed = wholeNumber("seed", 1 + Math.floor(Math.random() * 999_999));
compile();
// Now, and not when the report is written: somebody may go on working meanwhile.
const compiled = describeCommit();

/** @type {Awaited<ReturnType<typeof fuzz>>[]} */
const results = [];
const waiting = [...chosen];
const worker = async () => {
  for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
    const result = await fuzz(target, seconds, seed);
    results.push(result);
    const { executions, coverage, features, crashed } = result;
    const outcome = crashed ? "CRASHED" : "ok";
    console.log(
      `fuzz: ${target} ${outcome}: ${executions} executions, coverage ${coverage}, features ${features}`,
    );
  }
};
await Promise.all(Array.from({ length: JOBS }, worker));
results.sort((a, b) => a.target.localeCompare(b.target));
console.log(`fuzz: seed ${seed}, ${seconds} s a target`);

if (options.report) {
  writeReport(join(root, "docs", "fuzz.md"), {
    command: `npm run fuzz -- --seconds ${seconds} --seed ${seed} --target NAME --report`,
    seed,
    sources: compiled,
    compiler: execFileSync(COMPILER, ["--version"], { encoding: "utf8" }).split("\n")[0] ?? "",
    longestInputBytes: LONGEST_INPUT_BYTES,
    results,
    about: (target) =>
      readFileSync(join(sources, `${target}_fuzz.cc`), "utf8")
        .split("\n\n")[0]
        ?.split("\n#")[0]
        ?.replaceAll(/^\/\/ ?/gm, "")
        .replaceAll("\n", " ") ?? "",
  });
}
process.exitCode = results.some((result) => result.crashed) ? 1 : 0;
