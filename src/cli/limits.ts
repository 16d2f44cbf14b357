// `forknet limits ID`: changes a guest's limits in place.

import type { Command } from "commander";
import { configError } from "../errors.js";
import { addSiteCommand, atSite, type Printed, print } from "./command.js";
import { formatDownload, formatUpload, readDownload, readUpload } from "./quantity.js";
import type { SiteOptions } from "./site.js";

interface LimitsOptions extends SiteOptions, Printed {
  download?: string;
  upload?: string;
}

export function addLimits(program: Command): void {
  addSiteCommand(program, "limits", {
    text: "change a guest's limits in place; a side that is left out stays",
    examples: [
      "forknet limits vm-1 --upload 50mbit",
      "forknet limits vm-1 --upload 20mbit/80mbit --download 100mbit",
      "forknet limits vm-1 --download max",
    ],
  })
    .argument("<id>", "instance id")
    .option("--download <rate>", "bit, kbit, mbit, gbit or tbit per second, or max")
    .option("--upload <rate[/ceil]>", "what is guaranteed, and how far it may borrow; or max")
    .action((instanceId: string, options: LimitsOptions) => {
      const { download, upload } = options;
      if (download === undefined && upload === undefined)
        throw configError("limits", "--download or --upload", undefined);
      const limits = {
        ...(download === undefined ? {} : { download: readDownload(download) }),
        ...(upload === undefined ? {} : { upload: readUpload(upload) }),
      };
      return atSite(options, async (site) => {
        const guest = await site.change("limits", { instanceId, ...limits });
        print(
          options,
          guest,
          () =>
            `${instanceId}: download ${formatDownload(guest.limits)}, upload ${formatUpload(guest.limits)}`,
        );
      });
    });
}
