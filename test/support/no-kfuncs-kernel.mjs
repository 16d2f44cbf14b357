// A kernel for the lanes' workers that takes no program with kfuncs, as before Linux 6.2 or without CAP_PERFMON. Loaded as
// `no-kfuncs-kernel.mjs?helpers=broken` its helpers do not tell pending checksums apart either; with `release=...` it
// says that it is another one.

import { createKernel as createReal, Refused } from "../../dist/kernel/kernel.js";

const EACCES = 13;
const SETTINGS_BYTES = 32;
const FLAGS_AT = 16;
/** Makes a guard that uses helpers accept every pending checksum. */
const ACCEPTED = 8;
const DROPPED = 4;
const { searchParams } = new URL(import.meta.url);
const isBroken = searchParams.get("helpers") === "broken";
const release = searchParams.get("release");

/** What a guard is told that would judge. */
function withBrokenHelpers(value) {
  const flags = value.length === SETTINGS_BYTES ? value.readUInt32LE(FLAGS_AT) : 0;
  if (value.length !== SETTINGS_BYTES || flags & (ACCEPTED | DROPPED)) return value;
  const copy = Buffer.from(value);
  copy.writeUInt32LE(flags | ACCEPTED, FLAGS_AT);
  return copy;
}

export function createKernel() {
  const real = createReal();
  const loadProgram = (name, maps) => {
    if (!name.endsWith("_kfunc")) return real.bpf.loadProgram(name, maps);
    const refused = { operation: "BPF_PROG_LOAD", device: "", errno: EACCES, text: "" };
    throw new Refused({ ...refused, leftBehind: [] });
  };
  const mapSet = (fd, key, value) =>
    real.bpf.mapSet(fd, key, isBroken ? withBrokenHelpers(value) : value);
  return {
    ...real,
    release: () => release ?? real.release(),
    bpf: { ...real.bpf, loadProgram, mapSet },
  };
}
