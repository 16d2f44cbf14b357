// Whether this process has the capabilities that an agent needs.

import { about, type Finding } from "./finding.js";
import type { Host } from "./host.js";

const CAP_NET_ADMIN = 12;
const CAP_SYS_ADMIN = 21;
const CAP_PERFMON = 38;
const CAP_BPF = 39;

const UNIT = "integration/systemd/forknet-agent.service";

export function checkCapabilities(host: Host): Finding[] {
  const status = host.read("/proc/self/status") ?? "";
  const effective = BigInt(`0x${/^CapEff:\s*([\da-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  const uid = /^Uid:\s*\d+\s+(\d+)/m.exec(status)?.[1];
  const has = (capability: number) => ((effective >> BigInt(capability)) & 1n) === 1n;
  const mend = (name: string) =>
    uid === "0" || uid === undefined
      ? `grant ${name}: AmbientCapabilities= and CapabilityBoundingSet= of the unit (see ${UNIT}), --cap-add=${name} of the container`
      : "sudo forknet doctor";

  const netAdmin = about("capability.net-admin", "every link, qdisc, filter and TAP needs it");
  const bpf = about("capability.bpf", "the guard and the lease map are BPF");
  const perfmon = about(
    "capability.perfmon",
    "lets the guard read where a guest's pending checksum will be written; without it helpers tell, where they work",
  );
  const sysAdmin = about(
    "capability.sys-admin",
    "finds the lease map of an earlier process by its id; without it the map is rebuilt from the aliases of the TAPs",
  );
  return [
    has(CAP_NET_ADMIN)
      ? netAdmin.ok("CAP_NET_ADMIN is there")
      : netAdmin.problem("this process lacks CAP_NET_ADMIN", mend("CAP_NET_ADMIN")),
    has(CAP_BPF) || has(CAP_SYS_ADMIN)
      ? bpf.ok(`${has(CAP_BPF) ? "CAP_BPF" : "CAP_SYS_ADMIN, which includes CAP_BPF,"} is there`)
      : bpf.problem("this process lacks CAP_BPF", mend("CAP_BPF")),
    has(CAP_PERFMON) || has(CAP_SYS_ADMIN)
      ? perfmon.ok(
          `${has(CAP_PERFMON) ? "CAP_PERFMON" : "CAP_SYS_ADMIN, which includes CAP_PERFMON,"} is there`,
        )
      : perfmon.warning("this process lacks CAP_PERFMON", mend("CAP_PERFMON")),
    // An agent does without, so that its absence is nothing to mend.
    sysAdmin.ok(`CAP_SYS_ADMIN is ${has(CAP_SYS_ADMIN) ? "" : "not "}there; it is optional`),
    userNamespace(host),
  ];
}

/** The first user namespace maps every id to itself; only its capabilities count for BPF. */
function userNamespace(host: Host): Finding {
  const { ok, problem } = about(
    "capability.user-namespace",
    "the capabilities of a user namespace do not reach BPF, whatever they are",
  );
  const map = host.read("/proc/self/uid_map") ?? "";
  return /^0\s+0\s+4294967295$/.test(map)
    ? ok("in the first user namespace")
    : problem(
        "in a user namespace of its own, as in a rootless container",
        "run it outside: --userns=host for the container, and not rootless",
      );
}
