// What a run tells: tables on the terminal, and with --report docs/e2e.md.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describeCommit, describeMachine, load } from "../bench/machine.mjs";
import type { Attempt, Check } from "./check.js";
import { IMAGE } from "./place.js";

const FILE = fileURLToPath(new URL("../docs/e2e.md", import.meta.url));

export interface Outcome {
  checks: readonly Check[];
  attempts: readonly Attempt[];
  seconds: number;
}

export function describe({ checks, attempts }: Outcome): string {
  const state = (holds: boolean) => (holds ? "yes" : "**NO**");
  const checked = checks.map(({ scenario, guest, configured, measured, holds }) => [
    scenario,
    guest,
    configured,
    measured,
    state(holds),
  ]);
  const tried = attempts.map(({ what, sent, dropped, reason, atHost, atPeers, holds }) => [
    what,
    sent,
    reason === "" ? dropped : `${dropped} (${reason})`,
    atHost,
    atPeers,
    state(holds),
  ]);
  const parts = [table(["scenario", "guest", "configured", "measured", "holds"], checked)];
  if (tried.length > 0) {
    const head = ["a guest sends", "sent", "dropped, counted", "reached the host"];
    parts.push(table([...head, "reached guests", "holds"], tried));
    const sum = (of: (attempt: Attempt) => number) =>
      attempts.reduce((total, attempt) => total + of(attempt), 0);
    const sent = sum((attempt) => (attempt.mayReachHost ? 0 : attempt.sent));
    const passed = sum(
      ({ mayReachHost, atHost, atPeers }) => atPeers + (mayReachHost ? 0 : atHost),
    );
    parts.push(`Frames that tried to get past guard and isolation: ${sent}; that did: ${passed}.`);
  }
  return parts.join("\n\n");
}

export function writeReport(command: string, outcome: Outcome): void {
  const { cpu, cores, kernel, distribution, node } = describeMachine();
  const { commit, dirty } = describeCommit();
  const guestKernel = readFileSync(join(IMAGE, "kernel"), "utf8").trim();
  const date = new Date().toISOString().slice(0, 16).replace("T", " ");
  const document = [
    "# Real guests",
    "",
    `${date} UTC, \`${command}\`, ${outcome.seconds.toFixed(0)} s. Commit ${commit.slice(0, 12)}${dirty ? " with changes" : ""}.`,
    `${cpu}, ${cores} cores, load ${load()}; Linux ${kernel}, ${distribution}, Node ${node}.`,
    `Guests: QEMU, software emulation (\`-accel tcg\`), Debian's \`${guestKernel}\`, busybox, 128 MiB.`,
    "",
    "Every guest is a virtual machine on a TAP of forknet's, all in a network namespace of the run's own, with",
    '`unshaped: "block"` and `nat`. Rates are of TCP, as the kernel counts it behind the limit (at most 1.05 of what was',
    "configured holds), and as payload at the receiver, which is at most 1448/1514 = 0.956 of it (at least 0.8 holds).",
    "The internet is a namespace of its own behind the uplink, without a route to the guests.",
    "",
    describe(outcome),
    "",
  ];
  writeFileSync(FILE, document.join("\n"));
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
