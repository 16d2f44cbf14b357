// Each kernel feature that forknet needs, tried by using it as forknet does. Runs in a network
// namespace that is thrown away with its process: what a probe makes, it leaves there.

import type { KernelFailure } from "../errors.js";
import {
  classHandle,
  EGRESS,
  FILTER_HANDLE,
  FILTER_PRIORITY,
  HTB_ROOT,
  INGRESS,
  TBF_HANDLE,
} from "../facts.js";
import { DEFAULT_MINOR } from "../identity/class-pool.js";
import { failureOf, type Kernel, mustTalk } from "../kernel/kernel.js";
import type { FilterBpf } from "../kernel/messages.js";
import { ensurePrograms, needsMirred } from "../plans/programs.js";
import { treeMessages } from "../plans/shaper.js";
import { Undo } from "../plans/undo.js";

export interface ProbeResult {
  check: string;
  /** undefined: it works. */
  failure?: KernelFailure;
}

interface Probe {
  check: string;
  /** Not tried, and not told of, on a kernel where forknet does without. */
  isUsed?: (kernel: Kernel) => boolean;
  /** Not tried, and not told of, when one of these failed. */
  needs?: readonly string[];
  run: (this: void, bench: Bench) => void;
}

/** Of no network. */
const NO_GATEWAY = 0;

/** What earlier probes made for later ones. */
interface Bench {
  kernel: Kernel;
  programs: { guard: number; gate: number; classify: number };
}

const LOOPBACK = 1;
const BRIDGE = "probe-bridge";
const TAP = "probe-tap";
const IFB = "probe-ifb";
const SOME_BITS = 1_000_000_000;
const SOME_BYTES = 1_000_000;

const PROBES: readonly Probe[] = [
  {
    check: "feature.bridge",
    run: ({ kernel }) =>
      send(kernel, { op: "link.create", name: BRIDGE, kind: "bridge", multicastSnooping: false }),
  },
  { check: "feature.tun", run: ({ kernel }) => openTwoQueues(kernel) },
  {
    check: "feature.port-isolation",
    needs: ["feature.bridge", "feature.tun"],
    run: ({ kernel }) => {
      const ifindex = indexOf(kernel, TAP);
      send(kernel, { op: "link.set", ifindex, master: indexOf(kernel, BRIDGE) });
      send(kernel, { op: "port.set", ifindex, isolated: true, learning: false });
    },
  },
  {
    check: "feature.ifb",
    run: ({ kernel }) => send(kernel, { op: "link.create", name: IFB, kind: "ifb" }),
  },
  {
    check: "feature.htb",
    run: ({ kernel }) => mustTalk(kernel, shaperTree(LOOPBACK).filter(isHtb), "lo"),
  },
  {
    check: "feature.blackhole",
    needs: ["feature.htb"],
    run: ({ kernel }) =>
      mustTalk(
        kernel,
        shaperTree(LOOPBACK).filter(({ op }) => op === "qdisc.blackhole"),
        "lo",
      ),
  },
  { check: "feature.bfifo", needs: ["feature.htb"], run: ({ kernel }) => leaf(kernel, "bfifo") },
  {
    check: "feature.fq_codel",
    needs: ["feature.htb"],
    run: ({ kernel }) => leaf(kernel, "fq_codel"),
  },
  {
    check: "feature.tbf",
    needs: ["feature.tun"],
    run: ({ kernel }) =>
      send(kernel, {
        op: "qdisc.tbf",
        verb: "add",
        ifindex: indexOf(kernel, TAP),
        handle: TBF_HANDLE,
        rate: SOME_BYTES,
        burstBytes: SOME_BYTES,
        limitBytes: SOME_BYTES,
      }),
  },
  {
    check: "feature.clsact",
    run: ({ kernel }) => send(kernel, { op: "qdisc.clsact", verb: "add", ifindex: LOOPBACK }),
  },
  {
    check: "feature.bpf-programs",
    run: (bench) => {
      const choice = { translate: false, unverifiedChecksums: "accept" } as const;
      bench.programs = ensurePrograms(
        bench.kernel,
        NO_GATEWAY,
        undefined,
        choice,
        new Undo(),
      ).programs;
    },
  },
  {
    check: "feature.pending-checksums",
    needs: ["feature.bpf-programs", "feature.tun"],
    run: ({ kernel }) => {
      const choice = { translate: false, unverifiedChecksums: undefined };
      ensurePrograms(kernel, NO_GATEWAY, undefined, choice, new Undo());
    },
  },
  {
    check: "feature.cls_bpf",
    needs: ["feature.clsact", "feature.bpf-programs"],
    run: ({ kernel, programs }) => {
      filter(kernel, INGRESS, programs.guard);
      filter(kernel, EGRESS, programs.gate);
    },
  },
  {
    check: "feature.mirred",
    isUsed: (kernel) => needsMirred(kernel.release()),
    needs: ["feature.ifb", "feature.cls_bpf"],
    run: ({ kernel, programs }) =>
      filter(kernel, INGRESS, programs.guard, {
        verb: "replace",
        redirectTo: indexOf(kernel, IFB),
      }),
  },
  {
    check: "feature.cls_bpf-on-htb",
    needs: ["feature.htb", "feature.cls_bpf"],
    run: ({ kernel, programs }) =>
      filter(kernel, HTB_ROOT, programs.classify, { classid: HTB_ROOT }),
  },
];

/** Tries all that can be tried, in order. */
export function runProbes(kernel: Kernel): ProbeResult[] {
  const bench: Bench = { kernel, programs: { guard: -1, gate: -1, classify: -1 } };
  const works = new Set<string>();
  const results: ProbeResult[] = [];
  for (const { check, isUsed, needs = [], run } of PROBES) {
    if (isUsed && !isUsed(kernel)) continue;
    if (!needs.every((other) => works.has(other))) continue;
    try {
      run(bench);
      works.add(check);
      results.push({ check });
    } catch (error) {
      results.push({ check, failure: failureOf(error, check, "") });
    }
  }
  return results;
}

function send(kernel: Kernel, message: Parameters<Kernel["talk"]>[0][number]): void {
  mustTalk(kernel, [message], "");
}

function indexOf(kernel: Kernel, name: string): number {
  return kernel.link({ name })?.ifindex ?? 0;
}

/** With a virtio header, and twice: a second queue is what IFF_MULTI_QUEUE is for. */
function openTwoQueues(kernel: Kernel): void {
  for (let queue = 0; queue < 2; queue++)
    kernel.openTap({ name: TAP, vnetHdr: true, multiQueue: true });
}

function shaperTree(ifindex: number) {
  return treeMessages(ifindex, "", SOME_BITS);
}

function isHtb({ op }: { op: string }): boolean {
  return op === "qdisc.htb" || op === "class.htb";
}

/** In place of the default class's leaf. */
function leaf(kernel: Kernel, kind: "bfifo" | "fq_codel"): void {
  const on = { verb: "replace", ifindex: LOOPBACK, parent: classHandle(DEFAULT_MINOR) } as const;
  const bytes = SOME_BYTES;
  if (kind === "bfifo")
    send(kernel, { op: "qdisc.bfifo", ...on, handle: 0x100_0000, limitBytes: bytes });
  else send(kernel, { op: "qdisc.fq_codel", ...on, handle: 0x200_0000, memoryLimitBytes: bytes });
}

function filter(
  kernel: Kernel,
  parent: number,
  programFd: number,
  more: Partial<FilterBpf> = {},
): void {
  send(kernel, {
    op: "filter.bpf",
    verb: "add",
    ifindex: LOOPBACK,
    parent,
    priority: FILTER_PRIORITY,
    handle: FILTER_HANDLE,
    programFd,
    name: "forknet-probe",
    ...more,
  });
}
