// Ends with 0 when this kernel's helpers tell a guard what it has to know of pending checksums, in the network namespace
// that it is started in.

import { createKernel } from "../../dist/kernel/kernel.js";
import { tryPending } from "../../dist/plans/checksum-trial.js";

const fault = tryPending(createKernel(), "helpers");
if (fault !== undefined) console.log(fault);
process.exitCode = fault === undefined ? 0 : 1;
