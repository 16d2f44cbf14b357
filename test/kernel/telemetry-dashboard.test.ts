// The example with the OpenTelemetry SDK and a Prometheus exporter runs, and its dashboard asks for
// exactly the metrics, and no other labels than those, that the exporter gave in the run.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { patiently } from "../support/patience.js";

const folder = fileURLToPath(new URL("../../examples/otel/", import.meta.url));
const PORT = 9464;
/** Suffixes of a histogram's series, and labels that Prometheus itself knows. */
const SERIES = /_(?:bucket|count|sum)$/;
const OWN_LABELS = ["le", "otel_scope_name", "otel_scope_version"];

interface Dashboard {
  panels: { title: string; targets: { expr: string }[] }[];
  templating: { list: { query: string }[] };
}

/** What the agent serves when it has done everything once. Ends it, and expects a good end. */
async function scrape(): Promise<string> {
  const stateDir = mkdtempSync(join(tmpdir(), "forknet-otel-"));
  onTestFinished(() => rmSync(stateDir, { recursive: true, force: true }));
  const agent = spawn(process.execPath, [join(folder, "agent.mjs"), String(PORT)], {
    env: { ...process.env, STATE_DIR: stateDir },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void agent.kill("SIGKILL"));
  let printed = "";
  agent.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  await expect.poll(() => printed, { timeout: patiently(10_000) }).toContain("serving");
  const get = async () => (await fetch(`http://127.0.0.1:${PORT}/metrics`)).text();
  await expect
    .poll(get, { timeout: patiently(10_000) })
    .toMatch(/reaped_total\{.*reason="release"/);
  const metrics = await get();
  const ended = once(agent, "exit");
  agent.kill("SIGTERM");
  expect(await ended).toEqual([0, null]);
  expect(printed).toMatch(/^refused: ERR_FORKNET_CONFLICT\nserving .*\nspans recorded\n$/);
  return metrics;
}

function namesIn(text: string, pattern: RegExp): string[] {
  return [...new Set([...text.matchAll(pattern)].map(([, name]) => name as string))].sort();
}

test("the dashboard shows every metric of a run, and nothing else", async () => {
  const metrics = await scrape();
  const given = namesIn(metrics, /^# TYPE (forknet_\w+)/gm);
  const { panels, templating } = JSON.parse(
    readFileSync(join(folder, "dashboard.json"), "utf8"),
  ) as Dashboard;
  const asked = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)).join("\n");
  const series = namesIn(asked, /\b(forknet_\w+)(?=\{)/g);
  expect([...new Set(series.map((name) => name.replace(SERIES, "")))].sort()).toEqual(given);
  // Of a histogram these series are really there.
  for (const name of series) expect(metrics).toContain(`\n${name}{`);

  const labels = namesIn(metrics, /[{,](\w+)="/g);
  const grouped = namesIn(asked, /by \(([^)]*)\)/g).flatMap((list) => list.split(", "));
  const matched = namesIn(asked, /[{,]\s*(\w+)(?:=~|!=|=)"/g);
  expect(labels).toEqual(expect.arrayContaining([...new Set([...grouped, ...matched])]));
  // And the other way round: every label of ours is used.
  const used = new Set([...grouped, ...matched, ...OWN_LABELS]);
  const ours = namesIn(metrics.replaceAll(/^target_info.*$/gm, ""), /[{,](\w+)="/g);
  expect(ours.filter((label) => !used.has(label))).toEqual([]);
  expect(templating.list.map(({ query }) => query).join()).toContain("forknet_bridge");
});
