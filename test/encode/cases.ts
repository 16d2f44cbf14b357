// Every message beside the command whose bytes it must match, and the fields in which it may not, with reasons.
import type { Message } from "../../src/kernel/messages.js";

export interface Case {
  /** "area/name" of a fixture in golden/. */
  golden: string;
  message: Message;
  /** The paths (see decode.ts) at which our bytes differ from iproute2's, each with the reason. */
  differs?: Record<string, string>;
}

const BR0 = 10;
const IFB0 = 20;
const IFB1 = 30;
const IFB2 = 40;
const MAC = 0x02000a000007;
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
  nlmsg_flags: "NLM_F_REPLACE beside NLM_F_CREATE, as for qdiscs; the kernel reads only CREATE here",
};
const program = {
  "TCA_OPTIONS/TCA_BPF_FD": "the number of a descriptor",
  "TCA_OPTIONS/TCA_BPF_NAME": "tc derives the name from the program's origin; here the caller gives it",
};
const MICROSECONDS =
  "iproute2 6.1 cuts the time to whole microseconds before it becomes ticks; ours is exact, rounded up";
const classTicks = {
  "TCA_OPTIONS/TCA_HTB_PARMS/buffer": MICROSECONDS,
  "TCA_OPTIONS/TCA_HTB_PARMS/cbuffer": MICROSECONDS,
};
const WRAPS = "1600 s do not fit into 32 bits of ticks: iproute2 6.1 wraps, ours is clamped";
const deletedState = { state: "the kernel reads no state when it deletes; iproute2 sends its default" };
const fdbState = { state: "NUD_NOARP alone is static; bridge adds NUD_REACHABLE, which the kernel then ignores" };

const tbf = { op: "qdisc.tbf", ifindex: IFB1, handle: 0x10000 } as const;
const leaf = { ifindex: IFB0, parent: 0x100a1 } as const;
const htb = { op: "class.htb", ifindex: IFB0, parent: 0x10001 } as const;
const filter = { op: "filter.bpf", ifindex: IFB1, handle: 1, programFd: 5, name: "guard" } as const;

export const cases: Case[] = [
  {
    golden: "link/create-bridge",
    message: {
      op: "link.create",
      name: "br7",
      kind: "bridge",
      mac: 0x02000a000001,
      mtu: 1400,
      txQueueLength: 500,
      multicastSnooping: false,
      vlanFiltering: false,
    },
  },
  { golden: "link/create-bridge-plain", message: { op: "link.create", name: "br8", kind: "bridge" } },
  { golden: "link/create-ifb", message: { op: "link.create", name: "ifb7", kind: "ifb", txQueueLength: 77 } },
  { golden: "link/set-master", message: { op: "link.set", ifindex: IFB2, master: BR0 } },
  { golden: "link/set-nomaster", message: { op: "link.set", ifindex: IFB2, master: 0 } },
  { golden: "link/set-up", message: { op: "link.set", ifindex: IFB2, up: true } },
  { golden: "link/set-down", message: { op: "link.set", ifindex: IFB2, up: false } },
  { golden: "link/set-group", message: { op: "link.set", ifindex: IFB2, group: 4242 } },
  { golden: "link/set-alias", message: { op: "link.set", ifindex: IFB2, alias: "forknet vm-1" } },
  { golden: "link/clear-alias", message: { op: "link.set", ifindex: IFB2, alias: "" } },
  { golden: "link/set-txqueuelen", message: { op: "link.set", ifindex: IFB2, txQueueLength: 500 } },
  { golden: "link/set-mtu", message: { op: "link.set", ifindex: IFB2, mtu: 1400 } },
  { golden: "link/set-mac", message: { op: "link.set", ifindex: IFB2, mac: MAC } },
  { golden: "link/set-addrgenmode", message: { op: "link.set", ifindex: IFB2, addressGeneration: "none" } },
  { golden: "link/set-name", message: { op: "link.set", ifindex: IFB2, name: "ifb9" } },
  { golden: "link/delete", message: { op: "link.delete", ifindex: IFB2 } },
  { golden: "link/delete-group", message: { op: "link.deleteGroup", group: 4242 } },

  {
    golden: "port/isolate",
    message: {
      op: "port.set",
      ifindex: IFB1,
      isolated: true,
      learning: false,
      unicastFlood: false,
      multicastFlood: false,
      broadcastFlood: false,
    },
  },
  { golden: "port/release", message: { op: "port.set", ifindex: IFB1, isolated: false, learning: true } },

  { golden: "neighbor/fdb-add", message: { op: "fdb.add", ifindex: IFB1, mac: MAC }, differs: fdbState },
  { golden: "neighbor/fdb-delete", message: { op: "fdb.delete", ifindex: IFB1, mac: MAC }, differs: deletedState },
  { golden: "neighbor/set", message: { op: "neighbor.set", ifindex: BR0, ip: 0x0a000007, mac: MAC } },
  {
    golden: "neighbor/delete",
    message: { op: "neighbor.delete", ifindex: BR0, ip: 0x0a000007 },
    differs: deletedState,
  },

  { golden: "address/add", message: { op: "address.add", ifindex: BR0, ip: 0x0a000001, prefixLength: 24 } },
  { golden: "address/add-30", message: { op: "address.add", ifindex: BR0, ip: 0x0a090001, prefixLength: 30 } },
  { golden: "address/add-31", message: { op: "address.add", ifindex: BR0, ip: 0x0a010000, prefixLength: 31 } },
  { golden: "address/delete", message: { op: "address.delete", ifindex: BR0, ip: 0x0a000001, prefixLength: 24 } },

  {
    golden: "route/add-gateway",
    message: { op: "route.add", destination: 0x0a080000, prefixLength: 13, gateway: 0x0a000002, ifindex: BR0 },
  },
  {
    golden: "route/add-link",
    message: { op: "route.add", destination: 0x0a070000, prefixLength: 16, ifindex: BR0 },
  },
  {
    golden: "route/add-default",
    message: { op: "route.add", destination: 0, prefixLength: 0, gateway: 0x0a000002, ifindex: BR0 },
  },

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
    message: { ...tbf, verb: "replace", rate: 1000 * MBIT, burstBytes: 2_000_000, limitBytes: 8_000_000 },
    differs: tbfRateTable,
  },
  {
    golden: "qdisc/tbf-64bit",
    message: { ...tbf, verb: "replace", rate: 100_000 * MBIT, burstBytes: 2_000_000, limitBytes: 80_000_000 },
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
    message: { op: "qdisc.htb", verb: "replace", ifindex: BR0, handle: 0x20000, defaultMinor: 0x10 },
  },
  { golden: "qdisc/clsact-add", message: { op: "qdisc.clsact", verb: "add", ifindex: BR0 } },
  { golden: "qdisc/clsact-replace", message: { op: "qdisc.clsact", verb: "replace", ifindex: BR0 } },
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
    message: { op: "qdisc.fq_codel", verb: "replace", ...leaf, handle: 0xa40000, memoryLimitBytes: 1_000_000 },
  },
  { golden: "qdisc/blackhole-add", message: { op: "qdisc.blackhole", verb: "add", ...leaf, handle: 0xa50000 } },
  {
    golden: "qdisc/blackhole-replace",
    message: { op: "qdisc.blackhole", verb: "replace", ...leaf, handle: 0xa60000 },
  },
  { golden: "qdisc/delete-root", message: { op: "qdisc.delete", ifindex: IFB1, parent: 0xffffffff } },
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
    message: { ...htb, verb: "replace", handle: 0x100a0, ...same(3 * MBIT, 1600), quantumBytes: 1514 },
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
    message: { ...htb, verb: "add", handle: 0x100a4, ...same(2 ** 32 - 1, 65_536), quantumBytes: 60_000 },
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
    message: { ...htb, verb: "add", handle: 0x100a6, ...same(100_000 * MBIT, 2_000_000), quantumBytes: 200_000 },
    differs: rateTable,
  },
  { golden: "class/delete", message: { op: "class.delete", ifindex: IFB0, handle: 0x100a0 } },

  { golden: "filter/add", message: { ...filter, verb: "add", parent: INGRESS, priority: 1 }, differs: program },
  {
    golden: "filter/add-classid",
    message: { ...filter, verb: "add", parent: EGRESS, priority: 2, classid: 0x10000 },
    differs: program,
  },
  { golden: "filter/change", message: { ...filter, verb: "change", parent: INGRESS, priority: 1 }, differs: program },
  {
    golden: "filter/replace",
    message: { ...filter, verb: "replace", parent: INGRESS, priority: 1 },
    differs: { ...program, ...replaceFlag },
  },
  {
    golden: "filter/delete",
    message: { op: "filter.delete", ifindex: IFB1, parent: INGRESS, priority: 1, handle: 1 },
  },
  { golden: "filter/delete-priority", message: { op: "filter.delete", ifindex: IFB1, parent: EGRESS, priority: 2 } },
];

function same(rate: number, burstBytes: number) {
  return { rate, ceil: rate, burstBytes, cburstBytes: burstBytes };
}
