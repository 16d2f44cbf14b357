// `forknet release ID`: ends a guest's network and frees its identity.

import type { Command } from "commander";
import { addSiteCommand, atSite, type Printed, print } from "./command.js";
import type { SiteOptions } from "./site.js";

export function addRelease(program: Command): void {
  addSiteCommand(program, "release", {
    text: "end a guest's network, in standby or not, and free its identity; its VMM should have exited",
    examples: ["forknet release vm-1"],
  })
    .argument("<id>", "instance id")
    .action((instanceId: string, options: SiteOptions & Printed) =>
      atSite(options, async (site) => {
        const done = await site.change("release", { instanceId });
        print(options, done, () => `${instanceId} released`);
      }),
    );
}
