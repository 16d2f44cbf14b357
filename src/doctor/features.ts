// What the probes found, as findings: which feature is missing, and the module that brings it.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { errnoName, type KernelFailure } from "../errors.js";
import { about, type Finding } from "./finding.js";
import type { NftablesResult } from "./probe-nftables.js";
import type { ProbeResult } from "./probes.js";

/** What a probe process prints. */
export type ProbeReport =
  | { refused: KernelFailure }
  | { results: ProbeResult[]; nftables: NftablesResult };

const PROGRAM = fileURLToPath(new URL("./probe-process.js", import.meta.url));
const EPERM = 1;
const ENOENT = 2;
const EACCES = 13;

interface Feature {
  why: string;
  module: string;
  config: string;
  optional?: true;
}

const FEATURES: Record<string, Feature> = {
  "feature.bridge": {
    why: "guests are connected by a bridge",
    module: "bridge",
    config: "CONFIG_BRIDGE",
  },
  "feature.tun": {
    why: "a guest's network card is a TAP, with a virtio header and, if asked, many queues",
    module: "tun",
    config: "CONFIG_TUN",
  },
  "feature.port-isolation": {
    why: "isolated guests cannot reach each other",
    module: "bridge",
    config: "CONFIG_BRIDGE of Linux 4.18 or newer",
  },
  "feature.ifb": { why: "uploads are shaped on an IFB", module: "ifb", config: "CONFIG_IFB" },
  "feature.htb": {
    why: "upload limits are HTB classes",
    module: "sch_htb",
    config: "CONFIG_NET_SCH_HTB",
  },
  "feature.blackhole": {
    why: "what has no class must not pass unshaped",
    module: "sch_blackhole",
    config: "CONFIG_NET_SCHED",
  },
  "feature.bfifo": {
    why: "bounds a guest's queue in bytes",
    module: "sch_fifo",
    config: "CONFIG_NET_SCH_FIFO",
  },
  "feature.fq_codel": {
    why: "would keep a guest's flows apart; forknet uses bfifo and works without",
    module: "sch_fq_codel",
    config: "CONFIG_NET_SCH_FQ_CODEL",
    optional: true,
  },
  "feature.tbf": {
    why: "download limits are TBFs",
    module: "sch_tbf",
    config: "CONFIG_NET_SCH_TBF",
  },
  "feature.clsact": {
    why: "the guard and the gate hang on it",
    module: "sch_ingress",
    config: "CONFIG_NET_SCH_INGRESS",
  },
  "feature.bpf-programs": {
    why: "guard, gate and classifier must pass the kernel's verifier",
    module: "",
    config: "CONFIG_BPF_SYSCALL",
  },
  "feature.pending-checksums": {
    why: "a guest must not change what the guard judged by a checksum that the host completes",
    module: "",
    config: "CONFIG_DEBUG_INFO_BTF of Linux 6.2 or newer",
  },
  "feature.cls_bpf": {
    why: "runs guard and gate at every TAP",
    module: "cls_bpf",
    config: "CONFIG_NET_CLS_BPF",
  },
  "feature.mirred": {
    why: "takes uploads to the shaper before Linux 6.5",
    module: "act_mirred",
    config: "CONFIG_NET_ACT_MIRRED",
  },
  "feature.cls_bpf-on-htb": {
    why: "finds the class of an upload",
    module: "cls_bpf",
    config: "CONFIG_NET_CLS_BPF",
  },
};

/**
 * Probes in a process of its own. The kernel may load the modules that a probe asks for, as it does
 * when forknet opens; nothing else of the host changes. `program` is another one in a test.
 */
export function checkFeatures(program: readonly string[] = [PROGRAM]): Finding[] {
  const output = execFileSync(process.execPath, [...program], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const report = JSON.parse(output) as ProbeReport;
  if ("refused" in report) return [noNamespace(report.refused)];
  return [...report.results.map(fromResult), fromNft(report.nftables)];
}

const whole = about(
  "feature",
  "each kernel feature is tried out in a network namespace of its own, which needs CAP_SYS_ADMIN",
);

/** In place of the features, when capabilities are missing: each would be refused for that. */
export function featuresNotProbed(): Finding {
  return whole.warning("not probed, for want of capabilities", "sudo forknet doctor");
}

function noNamespace(failure: KernelFailure): Finding {
  return failure.errno === EPERM
    ? whole.warning("not probed: no leave to make a network namespace", "sudo forknet doctor")
    : whole.warning(
        `not probed: no network namespace could be made: ${words(failure)}`,
        "sysctl -w user.max_net_namespaces=1024",
      );
}

function fromResult({ check, failure }: ProbeResult): Finding {
  const { why, module, config, optional } = FEATURES[check] as Feature;
  const { ok, problem } = about(check, why);
  if (!failure) return ok("works");
  if (optional) return ok(`not there: ${words(failure)}`);
  const { errno } = failure;
  if (errno === EPERM || errno === EACCES)
    return problem(
      `forbidden: ${words(failure)}`,
      "allow it in the process's seccomp profile (SystemCallFilter= of its unit, --security-opt of its container)",
    );
  if (check === "feature.tun" && errno === ENOENT)
    return problem("not probed: /dev/net/tun is missing", "modprobe tun");
  const rebuild = `a kernel with ${config}`;
  return problem(
    `does not work: ${words(failure)}`,
    module ? `modprobe ${module}   # or ${rebuild}` : rebuild,
  );
}

function fromNft(result: NftablesResult): Finding {
  const { ok, warning } = about(
    "feature.nftables",
    "`nat` masquerades with it; nothing else needs it",
  );
  if (result.works) return ok("nft is there, and masquerading works");
  return result.isMissing
    ? warning("the command nft is not installed", "apt-get install nftables")
    : warning(
        `masquerading does not work: ${result.text}`,
        "modprobe -a nf_tables nft_chain_nat nft_masq nft_ct",
      );
}

function words({ operation, errno, text }: KernelFailure): string {
  const said = text ? ` (${text})` : "";
  return errno ? `${operation}: ${errnoName(errno)}${said}` : `${operation}${said}`;
}
