// The faulty kernel for the lanes' workers, which moreover takes no program with kfuncs: how a guard is chosen then has
// operations of its own that can fail.

import { Refused } from "../../dist/kernel/kernel.js";
import { createKernel as createFaulty } from "./faulty-kernel.mjs";

const EACCES = 13;

export function createKernel() {
  const faulty = createFaulty();
  const loadProgram = (name, maps) => {
    if (!name.endsWith("_kfunc")) return faulty.bpf.loadProgram(name, maps);
    const refused = { operation: "BPF_PROG_LOAD", device: "", errno: EACCES, text: "" };
    throw new Refused({ ...refused, leftBehind: [] });
  };
  return { ...faulty, bpf: { ...faulty.bpf, loadProgram } };
}
