// What the demo found, and how each part of it looks in a terminal.

import { formatBandwidth } from "../bandwidth.js";
import type { ForkReport } from "./demo-agent.js";
import { formatTable } from "./table.js";

export interface RateRow {
  instanceId: string;
  direction: "download" | "upload";
  configuredBits: number;
  /** TCP payload at the receiver. */
  measuredBits: number;
}

export interface DemoReport {
  forks: ForkReport[];
  rates: RateRow[];
  /** Datagrams with the guest's own MAC (`honest`), then with a foreign one. */
  spoofed: {
    honest: { sent: number; arrived: number };
    sent: number;
    arrived: number;
    dropped: number;
  };
  standby: {
    instanceId: string;
    state: string;
    tapsInStandby: number;
    restored: string;
    isSame: boolean;
  };
  crash: {
    pid: number;
    adopted: number;
    sameTaps: number;
    openMs: number;
    uploadWithoutAgentBits: number;
  };
  release: { count: number; releaseMs: number };
  left: { taps: number; neighbors: number; links: number };
}

/** Of every 1514 bytes on the wire TCP carries 1448. */
const TCP_SHARE = 1448 / 1514;

type Printers = { [Name in keyof DemoReport]: (part: DemoReport[Name]) => string };

const PRINTERS: Printers = {
  forks: (forks) => {
    const head = ["instance", "ip", "mac", "tap", "class", "fork ms", "shaped ms"];
    const rows = forks.map(
      ({ allocation: { instanceId, ip, mac, tap, classId }, forkMs, shapedMs }) => [
        instanceId,
        ip,
        mac,
        tap,
        classId,
        forkMs.toFixed(2),
        shapedMs.toFixed(2),
      ],
    );
    return `${forks.length} forks at once, times from the moment all were asked for\n${formatTable(head, rows)}`;
  },
  rates: (rows) => {
    const head = ["instance", "direction", "configured", "possible TCP Mbit/s", "measured Mbit/s"];
    const cells = rows.map(({ instanceId, direction, configuredBits, measuredBits }) => [
      instanceId,
      direction,
      formatBandwidth(configuredBits),
      mbit(configuredBits * TCP_SHARE),
      mbit(measuredBits),
    ]);
    return `TCP through real stacks behind the TAPs\n${formatTable(head, cells)}`;
  },
  spoofed: ({ honest, sent, arrived, dropped }) =>
    `own MAC: ${honest.arrived} of ${honest.sent} datagrams arrived; ` +
    `foreign MAC: ${arrived} of ${sent} arrived, ${dropped} dropped and counted`,
  standby: ({ instanceId, state, tapsInStandby, restored, isSame }) =>
    `${instanceId}: ${state}, ${tapsInStandby} TAPs; restored: ${restored}, ` +
    `${isSame ? "same name, IP and MAC" : "IDENTITY CHANGED"}`,
  crash: ({ pid, adopted, sameTaps, openMs, uploadWithoutAgentBits }) =>
    `agent ${pid} killed with SIGKILL: vm-0 went on at ${mbit(uploadWithoutAgentBits)} Mbit/s up; ` +
    `the next agent adopted ${adopted} guests (${sameTaps} on the same TAP) in ${openMs.toFixed(0)} ms`,
  release: ({ count, releaseMs }) => `${count} released in ${releaseMs.toFixed(0)} ms`,
  left: ({ taps, neighbors, links }) =>
    `left: ${taps} TAPs, ${neighbors} neighbour entries; after destroy: ${links} links`,
};

/** Prints one part of the report with a blank line behind it. */
export function printSection<Name extends keyof DemoReport>(
  name: Name,
  part: DemoReport[Name],
): void {
  process.stdout.write(`${PRINTERS[name](part)}\n\n`);
}

function mbit(bits: number): string {
  return (bits / 1e6).toFixed(1);
}
