// `forknet bench`: how long forks take on this host, many at once, with warm slots and without, in a
// network namespace of its own. The package's checkout has the full benchmark, with peers and floor.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError } from "commander";
import { monotonicMs } from "../clock.js";
import { loadAddon } from "../kernel/addon.js";
import type { Network } from "../network.js";
import { openNetwork } from "../open.js";
import { addCommand, type Printed, print } from "./command.js";
import { enterOwnNamespace } from "./own-namespace.js";
import { Progress } from "./progress.js";
import { formatTable } from "./table.js";

interface BenchOptions extends Printed {
  forks: number;
  rounds: number;
}

/** Milliseconds from the first call of a burst; percentiles over all rounds. */
interface Percentiles {
  p50: number;
  p95: number;
  p99: number;
}

interface BenchRow {
  slots: "warm" | "cold";
  forks: number;
  rounds: number;
  /** createAllocation has resolved. */
  usableMs: Percentiles;
  /** Its own limits are in place. */
  shapedMs: Percentiles;
  /** All of a burst are released. */
  releasedMs: Percentiles;
}

const BRIDGE = "vmbr0";
const MOST_FORKS = 500;
const WARMING_MS = 20;
const MOST_WARMING_MS = 60_000;

export function addBench(program: Command): void {
  addCommand(program, "bench", {
    text: "how long forks take on this host, in a network namespace that goes with it (needs root)",
    examples: ["forknet bench", "forknet bench --forks 200 --rounds 10 --json"],
  })
    .option("--forks <n>", "guests at once", readCount(MOST_FORKS), 100)
    .option("--rounds <n>", "bursts of each kind", readCount(1000), 5)
    .action(async (options: BenchOptions) => {
      enterOwnNamespace("the benchmark");
      const progress = new Progress(options.json ?? false);
      const rows: BenchRow[] = [];
      try {
        for (const slots of ["warm", "cold"] as const)
          rows.push(await measure(slots, options, progress));
      } finally {
        progress.clear();
      }
      print(options, { bench: rows }, () => formatRows(rows));
    });
}

async function measure(
  slots: BenchRow["slots"],
  { forks, rounds }: BenchOptions,
  progress: Progress,
): Promise<BenchRow> {
  const stateDir = mkdtempSync(join(tmpdir(), "forknet-bench-"));
  const size = slots === "warm" ? forks : 0;
  const network = await openNetwork({
    bridge: BRIDGE,
    subnet: "10.100.0.0/16",
    uploadCapacity: "1tbit",
    pool: { size },
    stateDir,
  });
  const times = { usable: [] as number[], shaped: [] as number[], released: [] as number[] };
  try {
    for (let round = 1; round <= rounds; round++) {
      progress.tell(`${slots}: burst ${round} of ${rounds}, ${forks} forks at once`);
      await warmed(network, size);
      await burst(network, forks, times);
    }
  } finally {
    await network.destroy();
    rmSync(stateDir, { recursive: true, force: true });
  }
  return {
    slots,
    forks,
    rounds,
    usableMs: percentiles(times.usable),
    shapedMs: percentiles(times.shaped),
    releasedMs: percentiles(times.released),
  };
}

/** Resolves when so many slots stand ready, told by the aliases of their TAPs. */
async function warmed(network: Network, size: number): Promise<void> {
  const netlink = new (loadAddon().Netlink)();
  try {
    const ready = () =>
      netlink.links({ kind: "tun" }).filter(({ alias }) => alias.includes("/slot ")).length;
    const deadlineMs = monotonicMs() + MOST_WARMING_MS;
    while (ready() < size && monotonicMs() < deadlineMs) await sleep(WARMING_MS);
    // What the slots' maker made is known to the network when this returns.
    await network.reconcile({ dryRun: true });
  } finally {
    netlink.close();
  }
}

async function burst(
  network: Network,
  forks: number,
  times: Record<"usable" | "shaped" | "released", number[]>,
): Promise<void> {
  const startedMs = monotonicMs();
  const ids = Array.from({ length: forks }, (_, i) => `vm-${i}`);
  await Promise.all(
    ids.map(async (instanceId) => {
      const request = { instanceId, instanceName: instanceId, download: "100mbit" };
      const allocation = await network.createAllocation({ ...request, upload: "20mbit" });
      times.usable.push(monotonicMs() - startedMs);
      await allocation.shaped;
      times.shaped.push(monotonicMs() - startedMs);
    }),
  );
  const releasingMs = monotonicMs();
  await Promise.all(ids.map((instanceId) => network.releaseAllocation(instanceId)));
  times.released.push(monotonicMs() - releasingMs);
}

/** Nearest rank. */
function percentiles(values: readonly number[]): Percentiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number) => {
    const value = sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0;
    return Math.round(value * 1000) / 1000;
  };
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

function formatRows(rows: readonly BenchRow[]): string {
  const cell = ({ p50, p95, p99 }: Percentiles) => [p50, p95, p99].map((ms) => ms.toFixed(2));
  const { forks = 0, rounds = 0 } = rows[0] ?? {};
  const head = ["slots", "what", "p50 ms", "p95 ms", "p99 ms"];
  const table = rows.flatMap(({ slots, usableMs, shapedMs, releasedMs }) => [
    [slots, "fork usable", ...cell(usableMs)],
    [slots, "fork shaped", ...cell(shapedMs)],
    [slots, "all released", ...cell(releasedMs)],
  ]);
  return `${forks} forks at once, ${rounds} rounds, times from the first call of a burst\n${formatTable(head, table)}`;
}

function readCount(most: number): (text: string) => number {
  return (text) => {
    const count = Number(text);
    if (!Number.isSafeInteger(count) || count < 1 || count > most)
      throw new InvalidArgumentError(`Expected a whole number from 1 to ${most}.`);
    return count;
  };
}
