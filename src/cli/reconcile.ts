// `forknet reconcile`: one pass that brings network and kernel together.

import type { Command } from "commander";
import type { PlainReconcileReport } from "../control/protocol.js";
import { ForknetError } from "../errors.js";
import { addSiteCommand, atSite, type Printed, print } from "./command.js";
import { EXIT } from "./exit.js";
import type { SiteOptions } from "./site.js";
import { paint } from "./style.js";
import { formatTable } from "./table.js";

export function addReconcile(program: Command): void {
  addSiteCommand(program, "reconcile", {
    text: "repair what verify finds and delete what is provably the network's and nobody has",
    examples: ["forknet reconcile --dry-run", "forknet reconcile --json | jq '.actions[].action'"],
  })
    .option("-n, --dry-run", "only tell what would be done")
    .action((options: SiteOptions & Printed & { dryRun?: boolean }) =>
      atSite(options, async (site) => {
        const dryRun = options.dryRun ?? false;
        // Opening the network puts it in order, which is what was not asked for.
        if (dryRun && !site.isHeld) {
          const text = `no process has the network on ${site.bridge} open to plan a pass: forknet verify tells what differs`;
          throw new ForknetError("ERR_FORKNET_CONFLICT", text);
        }
        const report = await site.change("reconcile", { dryRun });
        print(options, report, () => formatReport(report));
        if (report.actions.some(({ error }) => error)) process.exitCode = EXIT.failed;
      }),
    );
}

function formatReport({ dryRun, kept, actions, remaining }: PlainReconcileReport): string {
  const rows = actions.map(({ action, subject, reason, proof, error }) => [
    action,
    subject,
    reason,
    proof,
    error ? paint("red", error.message) : dryRun ? "planned" : "done",
  ]);
  const table = formatTable(["action", "subject", "reason", "proof", "result"], rows);
  return [
    ...(rows.length > 0 ? [table] : ["nothing to do"]),
    `${kept} guests kept${remaining > 0 ? `, ${remaining} actions remain: call again` : ""}`,
  ].join("\n");
}
