// `npm run bench`: asks the questions one after the other, prints tables, and holds the result against the budgets.

import { writeFileSync } from "node:fs";
import { judge } from "./budgets.mjs";
import { describeCommit, describeMachine, load } from "./machine.mjs";
import { parseOptions } from "./options.mjs";
import { Peers } from "./peers.mjs";
import { buildPrograms } from "./programs.mjs";
import { contextOf } from "./question.mjs";
import { questions } from "./questions.mjs";
import { writeReport } from "./report.mjs";
import { budgetRows, formatTable } from "./tables.mjs";

/** @param {string[]} args */
async function main(args) {
  const names = questions.map(({ name }) => name);
  const options = parseOptions(args, names);
  const programs = buildPrograms();
  const context = contextOf(options.scale, new Peers(programs, options.scale));
  const startedMs = performance.now();
  const run = {
    takenAt: new Date().toISOString(),
    scale: options.scale,
    ...describeCommit(),
    machine: describeMachine(),
    loadBefore: load(),
    seconds: 0,
    missing: programs.usualMissing === undefined ? [] : [`usual way: ${programs.usualMissing}`],
    /** @type {Record<string, any>} */
    questions: {},
    /** @type {ReturnType<typeof judge>} */
    budgets: [],
  };
  for (const { name, title, run: ask } of questions) {
    if (options.only.length > 0 && !options.only.includes(name)) continue;
    const askedMs = performance.now();
    const result = await ask(context);
    const seconds = Math.round((performance.now() - askedMs) / 1000);
    run.questions[name] = { title, seconds, ...result };
    run.budgets = judge(run.questions);
    run.seconds = Math.round((performance.now() - startedMs) / 1000);
    console.log(`\n${title} (${name}, ${seconds} s)\n${result.how}\n${formatTable(result.table)}`);
    if (options.json) writeFileSync(options.json, `${JSON.stringify(run, null, 1)}\n`);
  }
  console.log(`\nBudgets (${run.seconds} s in all)\n${formatTable(budgetRows(run.budgets))}`);
  for (const missing of run.missing) console.log(`left out: ${missing}`);
  if (options.report) console.log(`report: ${writeReport(run)}report.md`);
  const missed = run.budgets.filter(({ isMet }) => !isMet);
  if (options.check && missed.length > 0) {
    console.error(`missed: ${missed.map(({ name }) => name).join("; ")}`);
    process.exitCode = 1;
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(`bench: ${/** @type {Error} */ (error).message}`);
  process.exitCode = 2;
}
