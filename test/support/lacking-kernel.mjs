// Probes as the doctor does, on a kernel that lacks what is named on the command line: messages of these operations (or
// links of these kinds) are refused with the words of a kernel that was built without them. "mirred": one that needs it.
// "kfuncs" are of programs, and helpers that lack what a guard asks them for let every frame pass.

import { probeNftables } from "../../dist/doctor/probe-nftables.js";
import { runProbes } from "../../dist/doctor/probes.js";
import { loadAddon } from "../../dist/kernel/addon.js";
import { createKernel, Refused } from "../../dist/kernel/kernel.js";

const EPERM = 1;
const ENOENT = 2;
const ENODEV = 19;
const EOPNOTSUPP = 95;
const ENOSYS = 38;
/** Of struct settings in native/bpf/layout.h. */
const SETTINGS_BYTES = 32;
const FLAGS_AT = 16;
const ACCEPT_PENDING = 8;
const lacking = new Set(process.argv.slice(2));

function refusal(errno, text = "") {
  return { operation: "as told", device: "", errno, text, leftBehind: [] };
}

function refusalOf(message) {
  if (message.op === "link.create")
    return lacking.has(message.kind) ? refusal(EOPNOTSUPP, "Unknown device type") : null;
  if (message.redirectTo && lacking.has("mirred"))
    return refusal(ENOENT, "Failed to load TC action module");
  if (!lacking.has(message.op)) return null;
  return message.op.startsWith("qdisc.")
    ? refusal(ENOENT, "Specified qdisc kind is unknown")
    : refusal(EOPNOTSUPP);
}

loadAddon().unshareNetwork();
const real = createKernel();
const kernel = {
  ...real,
  release: () => (lacking.has("mirred") ? "6.4.0" : real.release()),
  talk: (messages, device) =>
    messages.map((message) => refusalOf(message) ?? real.talk([message], device)[0]),
  openTap(options) {
    if (lacking.has("tun")) throw new Refused(refusal(ENODEV));
    if (lacking.has("multiQueue") && options.multiQueue) throw new Refused(refusal(22));
    return real.openTap(options);
  },
  bpf: {
    ...real.bpf,
    loadProgram(...args) {
      if (lacking.has("leave for bpf")) throw new Refused(refusal(EPERM));
      if (lacking.has("bpf")) throw new Refused(refusal(ENOSYS));
      const isKfunc = args[0].endsWith("_kfunc");
      if (isKfunc && (lacking.has("kfuncs") || lacking.has("kfuncs and helpers")))
        throw new Refused(refusal(ENOENT));
      return real.bpf.loadProgram(...args);
    },
    mapSet(fd, key, value) {
      const isJudging = value.length === SETTINGS_BYTES && lacking.has("kfuncs and helpers");
      if (isJudging) value.writeUInt32LE(value.readUInt32LE(FLAGS_AT) | ACCEPT_PENDING, FLAGS_AT);
      real.bpf.mapSet(fd, key, value);
    },
  },
};
process.stdout.write(
  JSON.stringify({ results: runProbes(kernel), nftables: await probeNftables() }),
);
