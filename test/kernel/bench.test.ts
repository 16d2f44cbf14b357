// The benchmark does not rot: every question runs once, with numbers too small to mean anything.
// Nothing is timed here.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { patiently } from "../support/patience.js";

const PROGRAM = fileURLToPath(new URL("../../bench/run.mjs", import.meta.url));
const LONGEST_MS = patiently(120_000);

interface Run {
  commit: string;
  machine: { cpu: string; cores: number; kernel: string; node: string };
  questions: Record<string, { table: Record<string, string | number>[] }>;
  budgets: { name: string; value: number; isMet: boolean }[];
}

test("answers every question", { timeout: LONGEST_MS }, () => {
  const directory = mkdtempSync(join(tmpdir(), "forknet-bench-test-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const json = join(directory, "run.json");
  const output = execFileSync(process.execPath, [PROGRAM, "--tiny", "--json", json], {
    encoding: "utf8",
  });

  const run = JSON.parse(readFileSync(json, "utf8")) as Run;
  expect(Object.keys(run.questions)).toEqual([
    "fork",
    "burst",
    "churn",
    "growth",
    "release",
    "wait",
    "event-loop",
    "adoption",
    "memory",
    "statistics",
    "import",
    "programs",
    "data-path",
    "goodput",
  ]);
  for (const [name, { table }] of Object.entries(run.questions)) {
    expect(table.length, name).toBeGreaterThan(0);
    const figures = table
      .flatMap((row) => Object.values(row))
      .filter((cell) => typeof cell === "number");
    expect(figures.every(Number.isFinite), `${name}: ${JSON.stringify(table)}`).toBe(true);
  }
  expect(run.machine).toMatchObject({ node: process.version, cores: expect.any(Number) });
  expect(run.budgets.length).toBeGreaterThan(0);
  expect(output).toContain("Budgets");
});

test("names the questions there are when it is asked for another one", () => {
  const ask = () =>
    execFileSync(process.execPath, [PROGRAM, "--only", "nothing"], {
      encoding: "utf8",
      stdio: "pipe",
    });
  expect(ask).toThrow(/Expected one of fork, burst, .* for --only, but received nothing/);
});
