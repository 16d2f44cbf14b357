// `forknet destroy`: releases every guest and removes everything the network made.

import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { ForknetError } from "../errors.js";
import { addSiteCommand, atSite, type Printed, print } from "./command.js";
import type { Site, SiteOptions } from "./site.js";

interface DestroyOptions extends SiteOptions, Printed {
  yes?: boolean;
}

export function addDestroy(program: Command): void {
  addSiteCommand(program, "destroy", {
    text: "release every guest, standby ones included, and remove everything the network made",
    examples: ["forknet destroy --bridge vmbr0", "forknet destroy --bridge vmbr0 --yes"],
  })
    .option("-y, --yes", "do not ask; needed where nobody can be asked")
    .action((options: DestroyOptions) =>
      atSite(options, async (site) => {
        if (!options.yes) await confirm(site);
        const done = await site.change("destroy", {});
        print(options, done, () => `the network on ${done.destroyed} is gone`);
      }),
    );
}

/** Throws CONFIG when nobody can be asked, ABORTED when the answer is another. */
async function confirm(site: Site): Promise<void> {
  const { guests } = await site.status();
  const what = `the network on ${site.bridge} with ${guests.length} guests`;
  if (!process.stdin.isTTY) {
    const text = `--yes is needed to destroy ${what} where nobody can be asked`;
    throw new ForknetError("ERR_FORKNET_CONFIG", text);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(`Destroy ${what}? Type the bridge's name: `);
  terminal.close();
  if (answer.trim() !== site.bridge)
    throw new ForknetError("ERR_FORKNET_ABORTED", "nothing was destroyed");
}
