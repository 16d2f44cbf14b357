// Nanoseconds of the programs at a TAP for one frame, as BPF_PROG_TEST_RUN tells them: in a network that does not
// translate, and in one that does, for a guest that is not translated and for one that is.

import { parseMac, parseSubnet } from "../../dist/identity/ipv4.js";
import { createKernel } from "../../dist/kernel/kernel.js";
import { encodeLease, keyOf } from "../../dist/lease/lease.js";
import { writeSettings } from "../../dist/plans/maps.js";
import { ensurePrograms } from "../../dist/plans/programs.js";
import { Undo } from "../../dist/plans/undo.js";
import { answer, trialOptions } from "./agent.mjs";
import { frame, GATEWAY, GUEST } from "./programs-frames.mjs";

/** The device of a test run is the loopback device unless told otherwise. */
const LOOPBACK_IFINDEX = 1;
const PASSED = { guard: 7, gate: 0 };
/** As on kernels from 6.5 on: the guard redirects by itself. */
const HOW = { isolated: true, mirrored: false, shaper: LOOPBACK_IFINDEX, mac: 0x02000a640001 };
/** What disturbs a series of runs only ever slows it down. */
const SERIES = 5;

const { repeat } = trialOptions();
const kernel = createKernel();
const subnet = parseSubnet("10.100.0.0/16", undefined);
const lease = {
  instanceId: "vm-1",
  instanceName: "web-1",
  ip: GUEST.ip,
  mac: parseMac(GUEST.mac, "mac"),
  classMinor: 0x10,
  limits: { download: null, upload: null },
  createdMs: 0,
  generation: 1,
  blocked: false,
};
/**
 * The same inside as outside: every byte is written as ever, and the next run finds the frame as this one did.
 */
const self = {
  ip: lease.ip,
  mac: lease.mac,
  gateway: GATEWAY.ip,
  gatewayMac: parseMac(GATEWAY.mac, "mac"),
};

const EACCES = 13;
/**
 * What a process without CAP_PERFMON has: pending checksums are judged by helpers there.
 * @type {typeof kernel.bpf.loadProgram}
 */
const loadWithoutKfuncs = (name, maps) => {
  if (name.endsWith("_kfunc")) throw Object.assign(new Error(name), { errno: EACCES });
  return kernel.bpf.loadProgram(name, maps);
};
const helped = { ...kernel, bpf: { ...kernel.bpf, loadProgram: loadWithoutKfuncs } };

const rows = [];
for (const { network, translate, guest, loader = kernel } of [
  { network: "guard only", translate: false },
  { network: "guard only, without CAP_PERFMON", translate: false, loader: helped },
  { network: "translating, this guest not", translate: true },
  { network: "translated", translate: true, guest: self },
]) {
  const undo = new Undo();
  const choice = { translate, unverifiedChecksums: /** @type {const} */ ("accept") };
  const loaded = ensurePrograms(loader, 0, undefined, choice, undo);
  const { maps, programs, checksums } = loaded;
  writeSettings(kernel, maps, subnet, { ...HOW, checksums }, undo);
  const value = encodeLease({ ...lease, ...(guest && { guest }) });
  kernel.bpf.mapSet(maps.leases, keyOf(LOOPBACK_IFINDEX), value);
  for (const program of /** @type {const} */ (["guard", "gate"])) {
    const ns = (/** @type {Parameters<typeof frame>[1]} */ kind) => {
      const sent = frame(program === "guard" ? "upload" : "download", kind);
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < SERIES; i++) {
        const run = kernel.bpf.testRun(programs[program], sent, { repeat });
        if (run.action !== PASSED[program])
          throw new Error(`${network}: the ${program} said ${run.action}`);
        best = Math.min(best, run.durationNs);
      }
      return best;
    };
    rows.push({ network, program, datagramNs: ns("datagram"), segmentNs: ns("segment") });
  }
  undo.rollBack({ operation: "bench", device: "", errno: 0, text: "", leftBehind: [] });
}
answer({ rows });
