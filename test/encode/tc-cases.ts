// The messages of traffic control: qdiscs, classes and filters.
import type { Case } from "./cases.js";

const BR0 = 10;
const IFB0 = 20;
const IFB1 = 30;
const INGRESS = 0xfffffff2;
const EGRESS = 0xfffffff3;
const MBIT = 125_000;
const RATE_TABLE = "no rate table: the kernel needs one only without TC_LINKLAYER_ETHERNET";
const CELL = "describes the cells of the rate table, which is not there";
const rateTable = {
  "TCA_OPTIONS/TCA_HTB_RTAB": RATE_TABLE,
  "TCA_OPTIONS/TCA_HTB_CTAB": RATE_TABLE,
  "TCA_OPTIONS/TCA_HTB_PARMS/rate.cell_log": CELL,
  "TCA_OPTIONS/TCA_HTB_PARMS/rate.cell_align": CELL,
  "TCA_OPTIONS/TCA_HTB_PARMS/ceil.cell_log": CELL,
  "TCA_OPTIONS/TCA_HTB_PARMS/ceil.cell_align": CELL,
};
const tbfRateTable = {
  "TCA_OPTIONS/TCA_TBF_RTAB": RATE_TABLE,
  "TCA_OPTIONS/TCA_TBF_PARMS/rate.cell_log": CELL,
  "TCA_OPTIONS/TCA_TBF_PARMS/rate.cell_align": CELL,
};
const replaceFlag = {
  nlmsg_flags:
    "NLM_F_REPLACE beside NLM_F_CREATE, as for qdiscs; the kernel reads only CREATE here",
};
const program = {
  "TCA_OPTIONS/TCA_BPF_FD": "the number of a descriptor",
  "TCA_OPTIONS/TCA_BPF_NAME":
    "tc derives the name from the program's origin; here the caller gives it",
};
const MICROSECONDS =
  "iproute2 6.1 cuts the time to whole microseconds before it becomes ticks; ours is exact, rounded up";
const classTicks = {
  "TCA_OPTIONS/TCA_HTB_PARMS/buffer": MICROSECONDS,
  "TCA_OPTIONS/TCA_HTB_PARMS/cbuffer": MICROSECONDS,
};
const WRAPS = "1600 s do not fit into 32 bits of ticks: iproute2 6.1 wraps, ours is clamped";
const tbf = { op: "qdisc.tbf", ifindex: IFB1, handle: 0x10000 } as const;
const leaf = { ifindex: IFB0, parent: 0x100a1 } as const;
const htb = { op: "class.htb", ifindex: IFB0, parent: 0x10001 } as const;
const filter = { op: "filter.bpf", ifindex: IFB1, handle: 1, programFd: 5, name: "guard" } as const;

export const tcCases: Case[] = [
  {
    golden: "qdisc/tbf-add",
    message: { ...tbf, verb: "add", rate: 100 * MBIT, burstBytes: 200_000, limitBytes: 1_000_000 },
    differs: tbfRateTable,
  },
  {
    golden: "qdisc/tbf-change",
    message: { ...tbf, verb: "change", rate: 3 * MBIT, burstBytes: 1540, limitBytes: 20_000 },
    differs: { ...tbfRateTable, "TCA_OPTIONS/TCA_TBF_PARMS/buffer": MICROSECONDS },
  },
  {
    golden: "qdisc/tbf-replace",
    message: {
      ...tbf,
      verb: "replace",
      rate: 1000 * MBIT,
      burstBytes: 2_000_000,
      limitBytes: 8_000_000,
    },
    differs: tbfRateTable,
  },
  {
    golden: "qdisc/tbf-64bit",
    message: {
      ...tbf,
      verb: "replace",
      rate: 100_000 * MBIT,
      burstBytes: 2_000_000,
      limitBytes: 80_000_000,
    },
    differs: {
      ...tbfRateTable,
      "TCA_OPTIONS/TCA_TBF_PARMS/buffer":
        "tc reckons with the clamped rate; the kernel goes by TCA_TBF_BURST either way",
    },
  },
  {
    golden: "qdisc/tbf-parent",
    message: {
      ...tbf,
      ...leaf,
      verb: "add",
      handle: 0xa10000,
      rate: 100 * MBIT,
      burstBytes: 200_000,
      limitBytes: 1_000_000,
    },
    differs: tbfRateTable,
  },
  {
    golden: "qdisc/htb-add",
    message: { op: "qdisc.htb", verb: "add", ifindex: BR0, handle: 0x10000, defaultMinor: 0xfff },
  },
  {
    golden: "qdisc/htb-replace",
    message: {
      op: "qdisc.htb",
      verb: "replace",
      ifindex: BR0,
      handle: 0x20000,
      defaultMinor: 0x10,
    },
  },
  { golden: "qdisc/clsact-add", message: { op: "qdisc.clsact", verb: "add", ifindex: BR0 } },
  {
    golden: "qdisc/clsact-replace",
    message: { op: "qdisc.clsact", verb: "replace", ifindex: BR0 },
  },
  {
    golden: "qdisc/bfifo-add",
    message: { op: "qdisc.bfifo", verb: "add", ...leaf, handle: 0xa20000, limitBytes: 300_000 },
  },
  {
    golden: "qdisc/bfifo-change",
    message: { op: "qdisc.bfifo", verb: "change", ...leaf, handle: 0xa20000, limitBytes: 400_000 },
  },
  {
    golden: "qdisc/bfifo-replace",
    message: { op: "qdisc.bfifo", verb: "replace", ...leaf, handle: 0xa30000, limitBytes: 300_000 },
  },
  {
    golden: "qdisc/fq-codel-replace",
    message: {
      op: "qdisc.fq_codel",
      verb: "replace",
      ...leaf,
      handle: 0xa40000,
      memoryLimitBytes: 1_000_000,
    },
  },
  {
    golden: "qdisc/blackhole-add",
    message: { op: "qdisc.blackhole", verb: "add", ...leaf, handle: 0xa50000 },
  },
  {
    golden: "qdisc/blackhole-replace",
    message: { op: "qdisc.blackhole", verb: "replace", ...leaf, handle: 0xa60000 },
  },
  {
    golden: "qdisc/delete-root",
    message: { op: "qdisc.delete", ifindex: IFB1, parent: 0xffffffff },
  },
  { golden: "qdisc/delete-leaf", message: { op: "qdisc.delete", ...leaf, handle: 0xa60000 } },
  {
    golden: "qdisc/delete-clsact",
    message: { op: "qdisc.delete", ifindex: BR0, parent: 0xfffffff1 },
    differs: {
      handle: "tc names ffff:, the only handle that clsact can have",
      TCA_KIND: "tc names the kind, and there can be no other at this parent",
    },
  },
  {
    golden: "class/add",
    message: {
      ...htb,
      verb: "add",
      handle: 0x100a0,
      rate: 10 * MBIT,
      ceil: 40 * MBIT,
      burstBytes: 6600,
      cburstBytes: 21_600,
      quantumBytes: 60_000,
    },
    differs: rateTable,
  },
  {
    golden: "class/change",
    message: {
      ...htb,
      verb: "change",
      handle: 0x100a0,
      rate: 20 * MBIT,
      ceil: 40 * MBIT,
      burstBytes: 11_600,
      cburstBytes: 21_600,
      quantumBytes: 60_000,
    },
    differs: rateTable,
  },
  {
    golden: "class/replace",
    message: {
      ...htb,
      verb: "replace",
      handle: 0x100a0,
      ...same(3 * MBIT, 1600),
      quantumBytes: 1514,
    },
    differs: { ...rateTable, ...classTicks, ...replaceFlag },
  },
  {
    golden: "class/slow",
    message: { ...htb, verb: "add", handle: 0x100a3, ...same(1, 1600), quantumBytes: 1514 },
    differs: {
      ...rateTable,
      "TCA_OPTIONS/TCA_HTB_PARMS/buffer": WRAPS,
      "TCA_OPTIONS/TCA_HTB_PARMS/cbuffer": WRAPS,
    },
  },
  {
    golden: "class/below-64bit",
    message: {
      ...htb,
      verb: "add",
      handle: 0x100a4,
      ...same(2 ** 32 - 1, 65_536),
      quantumBytes: 60_000,
    },
    differs: { ...rateTable, ...classTicks },
  },
  {
    golden: "class/at-64bit",
    message: {
      ...htb,
      verb: "add",
      handle: 0x100a5,
      ...same(2 ** 32 - 1, 65_536),
      ceil: 2 ** 32,
      quantumBytes: 60_000,
    },
    differs: { ...rateTable, ...classTicks },
  },
  {
    golden: "class/above-64bit",
    message: {
      ...htb,
      verb: "add",
      handle: 0x100a6,
      ...same(100_000 * MBIT, 2_000_000),
      quantumBytes: 200_000,
    },
    differs: rateTable,
  },
  { golden: "class/delete", message: { op: "class.delete", ifindex: IFB0, handle: 0x100a0 } },
  {
    golden: "filter/add",
    message: { ...filter, verb: "add", parent: INGRESS, priority: 1 },
    differs: program,
  },
  {
    golden: "filter/add-classid",
    message: { ...filter, verb: "add", parent: EGRESS, priority: 2, classid: 0x10000 },
    differs: program,
  },
  {
    golden: "filter/change",
    message: { ...filter, verb: "change", parent: INGRESS, priority: 1 },
    differs: program,
  },
  {
    golden: "filter/replace",
    message: { ...filter, verb: "replace", parent: INGRESS, priority: 1 },
    differs: { ...program, ...replaceFlag },
  },
  {
    golden: "filter/add-redirect",
    message: { ...filter, verb: "add", parent: INGRESS, priority: 1, redirectTo: IFB0 },
    differs: program,
  },
  {
    golden: "filter/delete",
    message: { op: "filter.delete", ifindex: IFB1, parent: INGRESS, priority: 1, handle: 1 },
  },
  {
    golden: "filter/delete-priority",
    message: { op: "filter.delete", ifindex: IFB1, parent: EGRESS, priority: 2 },
  },
];

function same(rate: number, burstBytes: number) {
  return { rate, ceil: rate, burstBytes, cburstBytes: burstBytes };
}
