// Where and on what a run was taken.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";

export function describeMachine() {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    distribution: distribution(),
    node: process.version,
  };
}

/** The commit the sources are at; `dirty` when they differ from it. */
export function describeCommit() {
  const git = (/** @type {string[]} */ ...args) =>
    execFileSync("git", args, { encoding: "utf8", cwd: import.meta.dirname });
  try {
    const dirty = git(
      "status",
      "--porcelain",
      "--untracked-files=no",
      "--",
      "../src",
      "../native",
      "../bench",
      "../soak",
    );
    return { commit: git("rev-parse", "HEAD").trim(), dirty: dirty !== "" };
  } catch {
    return { commit: "unknown", dirty: true };
  }
}

/** Runnable processes over the last minute: other work than ours shows here. */
export function load() {
  return Number((loadavg()[0] ?? 0).toFixed(2));
}

function distribution() {
  try {
    return (
      /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? "unknown"
    );
  } catch {
    return "unknown";
  }
}
