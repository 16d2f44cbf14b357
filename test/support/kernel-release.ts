// What the kernel of this run is too old for. Tests ask the release: the code under test asks the
// kernel itself.

import { release } from "node:os";

/** Kfuncs for tc programs, and TAPs that take UDP segments: since Linux 6.2. */
export const IS_BEFORE_6_2 = /^(5\.|6\.[01]\.)/.test(release());
