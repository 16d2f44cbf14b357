// `forknet verify [ID]`: what the kernel does otherwise than it should. Changes nothing.

import type { Command } from "commander";
import { addSiteCommand, atSite, type Printed, print } from "./command.js";
import { EXIT } from "./exit.js";
import type { SiteOptions, SiteVerify } from "./site.js";
import { paint } from "./style.js";
import { formatTable } from "./table.js";

export function addVerify(program: Command): void {
  addSiteCommand(program, "verify", {
    text: "read back what the kernel enforces and tell what differs; exit code 6 when something does",
    examples: ["forknet verify", "forknet verify vm-1", "forknet verify --json | jq .differences"],
  })
    .argument("[id]", "instance id; all guests and the network itself when left out")
    .action((id: string | undefined, options: SiteOptions & Printed) =>
      atSite(options, async (site) => {
        const report = await site.verify(id);
        print(options, report, () => formatReport(report));
        if (report.differences.length > 0) process.exitCode = EXIT.differs;
      }),
    );
}

function formatReport(report: SiteVerify): string {
  const { compared, differences, warnings, directPackets, notes } = report;
  const guests = `${compared} guest${compared === 1 ? "" : "s"} compared`;
  const head =
    differences.length === 0
      ? paint("green", `${guests}, nothing differs`)
      : paint("red", `${guests}, ${differences.length} differences`);
  const rows = differences.map(({ subject, what, expected, found }) => [
    subject,
    what,
    String(expected),
    String(found),
  ]);
  return [
    head,
    ...(rows.length > 0 ? [formatTable(["subject", "what", "expected", "found"], rows)] : []),
    ...(directPackets ? [`${directPackets} packets passed the shaper without a class`] : []),
    ...warnings.map(({ subject, text }) => paint("yellow", `warning: ${subject}: ${text}`)),
    ...notes.map((note) => `note: ${note}`),
  ].join("\n");
}
