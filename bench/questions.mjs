// Every question, in the order of the report.

import { burst } from "./questions/burst.mjs";
import { fork } from "./questions/fork.mjs";

/** @type {import("./question.mjs").Question[]} */
export const questions = [fork, burst];
