// `forknet status`: a network and its guests, with the throughput between two looks.

import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import type { GuestStatus, NetworkStatus } from "../control/status.js";
import { addSiteCommand, atSite, type Printed, print, readSeconds } from "./command.js";
import type { Site, SiteOptions } from "./site.js";
import { formatGuests, formatNetwork } from "./status-report.js";
import { type Throughput, throughputBetween } from "./throughput.js";

/** A network's state with each guest's throughput: what `--json` prints. */
export interface LiveStatus extends NetworkStatus {
  guests: (GuestStatus & { throughput: Throughput })[];
}

export function addStatus(program: Command): void {
  addSiteCommand(program, "status", {
    text: "a network, its pool and lanes, and its guests with limits, live throughput and drops",
    examples: [
      "forknet status",
      "forknet status --bridge vmbr0 --json | jq '.guests[].ip'",
      "forknet status --interval 5",
    ],
  })
    .option(
      "--interval <seconds>",
      "measure throughput for so long; 0 for not at all",
      readSeconds,
      1,
    )
    .action((options: SiteOptions & Printed & { interval: number }) =>
      atSite(options, async (site) => {
        const status = await liveStatus(site, options.interval);
        const throughput = new Map(status.guests.map((one) => [one.instanceId, one.throughput]));
        print(
          options,
          status,
          () => `${formatNetwork(status)}\n\n${formatGuests(status.guests, throughput)}`,
        );
      }),
    );
}

/** Two looks, or one when the interval is 0. */
export async function liveStatus(site: Site, intervalSeconds: number): Promise<LiveStatus> {
  const before = intervalSeconds > 0 ? await site.status() : undefined;
  if (before) await sleep(intervalSeconds * 1000);
  const status = await site.status();
  const throughput = throughputBetween(before, status);
  const none = { download: null, upload: null };
  const guests = status.guests.map((guest) => ({
    ...guest,
    throughput: throughput.get(guest.instanceId) ?? none,
  }));
  return { ...status, guests };
}
