// Whether others could change what an agent keeps, or answer for it.

import { inspectPath } from "../state/trust.js";
import { about, type Finding } from "./finding.js";

export function checkStateDir(stateDir: string): Finding {
  const { ok, warning, problem } = about(
    "state.directory",
    "who can write there can change what guests get back, and answer for the agent",
  );
  try {
    // Root takes whoever has it for its agent's user.
    const { owner, unsafe } = inspectPath(stateDir, true);
    if (unsafe) return problem(unsafe.reason, unsafe.mend);
    if (!owner) return ok(`${stateDir} does not exist, and nobody else can make it`);
    return ok(`${stateDir} belongs to uid ${owner.uid}, and nobody else can write there`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return warning(`${stateDir} cannot be looked at (${code})`);
  }
}
