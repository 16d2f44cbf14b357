// TCP through real guests, both ways, all of them at once: what passes in the kernel's counters, and what
// arrives as payload, against what was configured.

import { setTimeout as sleep } from "node:timers/promises";
import type { Allocation, Network } from "../dist/index.js";
import { TcpService } from "../dist/stand-in/tcp-service.js";
import type { Check } from "./check.js";

/** Limits in bits per second. */
export interface Limits {
  download: number;
  upload: number;
}

// Slow start ends in a queue that overflows, and what was lost keeps the rest waiting at the receiver.
const WARM_UP_MS = 3000;
const TAIL_MS = 1000;
// A frame of 64 KiB at either end of the reading.
const MOST_WIRE = 1.05;
// Emulated guests on a busy machine lose some time, never the limit.
const LEAST_PAYLOAD = 0.8;

type Direction = keyof Limits;

/** Whoever runs the guest: this process, or an agent. */
export interface RatedGuest {
  allocation: Pick<Allocation, "instanceId" | "gateway">;
  vm: { run(command: string): Promise<string> };
  /** What the guest calls its gateway, where it is translated. */
  hostIp?: string;
}

export type Counters = Pick<Network, "statistics">;

/** Each guest's limits by its place in the list. */
export async function checkRates(
  network: Counters,
  guests: readonly RatedGuest[],
  limits: readonly Limits[],
  measuredMs: number,
  kind = "guests",
): Promise<Check[]> {
  const checks: Check[] = [];
  for (const direction of ["upload", "download"] as const) {
    const flows = Promise.all(guests.map((guest) => send[direction](guest, measuredMs)));
    const [payload, wire] = await Promise.all([flows, readWire(network, direction, measuredMs)]);
    for (const [i, { allocation }] of guests.entries()) {
      const guest = allocation.instanceId;
      const configured = limits[i]?.[direction] ?? 0;
      const passed = wire.get(guest) ?? 0;
      const arrived = payload[i] ?? 0;
      checks.push({
        scenario: `${direction}, ${guests.length} ${kind} at once`,
        guest,
        configured: megabits(configured),
        measured: `${share(passed, configured)} passed, ${share(arrived, configured)} payload`,
        holds: passed / configured <= MOST_WIRE && arrived / configured >= LEAST_PAYLOAD,
      });
    }
  }
  return checks;
}

/** Bits per second that passed a guest's class or queue while its flow was under way. */
async function readWire(
  network: Counters,
  direction: Direction,
  measuredMs: number,
): Promise<Map<string, number>> {
  await sleep(WARM_UP_MS);
  const before = await network.statistics();
  await sleep(measuredMs);
  const after = await network.statistics();
  const seconds = (after.readMs - before.readMs) / 1000;
  const bytes = ({ guests }: typeof before) =>
    new Map(guests.map((guest) => [guest.instanceId, guest[direction].bytes]));
  const former = bytes(before);
  return new Map(
    [...bytes(after)].map(([id, count]) => [id, ((count - (former.get(id) ?? 0)) * 8) / seconds]),
  );
}

/** Lasts longer than the reading; gives the receiver's bits per second. */
const send: Record<Direction, (guest: RatedGuest, measuredMs: number) => Promise<number>> = {
  async upload({ allocation: { gateway }, vm, hostIp = gateway }, measuredMs) {
    const limits = { warmUpMs: WARM_UP_MS, durationMs: measuredMs + TAIL_MS };
    const service = await TcpService.listen({ host: gateway, role: "sink", ...limits });
    try {
      const sent = vm.run(`traffic send ${hostIp} ${service.port}`);
      const [report] = await Promise.all([service.nextReport(), sent]);
      return report.goodput.bitsPerSecond;
    } finally {
      await service.close();
    }
  },
  async download({ allocation: { gateway }, vm, hostIp = gateway }, measuredMs) {
    const service = await TcpService.listen({ host: gateway, role: "source" });
    const times = `${WARM_UP_MS} ${measuredMs + TAIL_MS}`;
    try {
      return Number(await vm.run(`traffic receive ${hostIp} ${service.port} ${times}`));
    } finally {
      await service.close();
    }
  },
};

function share(bits: number, configured: number): string {
  return `${megabits(bits)} (${(bits / configured).toFixed(3)})`;
}

function megabits(bits: number): string {
  return `${(bits / 1e6).toFixed(2)} Mbit/s`;
}
