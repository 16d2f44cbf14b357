// Every question, in the order of the report.

import { adoption, load, memory } from "./questions/agent.mjs";
import { burst } from "./questions/burst.mjs";
import { churn } from "./questions/churn.mjs";
import { dataPath } from "./questions/data-path.mjs";
import { eventLoop } from "./questions/event-loop.mjs";
import { fork } from "./questions/fork.mjs";
import { goodput } from "./questions/goodput.mjs";
import { growth } from "./questions/growth.mjs";
import { programs } from "./questions/programs.mjs";
import { release } from "./questions/release.mjs";
import { statistics } from "./questions/statistics.mjs";
import { wait } from "./questions/wait.mjs";

/** @type {import("./question.mjs").Question[]} */
export const questions = [
  fork,
  burst,
  churn,
  growth,
  release,
  wait,
  eventLoop,
  adoption,
  memory,
  statistics,
  load,
  programs,
  dataPath,
  goodput,
];
