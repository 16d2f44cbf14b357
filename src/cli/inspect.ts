// `forknet inspect ID`: everything about one guest, and what the kernel does otherwise.

import type { Command } from "commander";
import { guestIn } from "../control/handlers.js";
import { addSiteCommand, atSite, type Printed, print, readSeconds } from "./command.js";
import type { SiteOptions } from "./site.js";
import { liveStatus } from "./status.js";
import { formatGuest } from "./status-report.js";

export function addInspect(program: Command): void {
  addSiteCommand(program, "inspect", {
    text: "one guest: identity, state, limits, counters and live throughput",
    examples: ["forknet inspect vm-1", "forknet inspect vm-1 --json | jq .traffic.upload"],
  })
    .argument("<id>", "instance id")
    .option(
      "--interval <seconds>",
      "measure throughput for so long; 0 for not at all",
      readSeconds,
      1,
    )
    .action((id: string, options: SiteOptions & Printed & { interval: number }) =>
      atSite(options, async (site) => {
        // A wrong id is told at once, not after the measurement.
        guestIn(await site.status(), id);
        const status = await liveStatus(site, options.interval);
        const guest = guestIn(status, id) as (typeof status.guests)[number];
        print(options, { ...guest, source: status.source, notes: status.notes }, () =>
          [
            formatGuest(guest, guest.throughput),
            ...status.notes.map((note) => `note      ${note}`),
          ].join("\n"),
        );
      }),
    );
}
