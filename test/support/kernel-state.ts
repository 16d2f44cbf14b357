// What the kernel holds for this process and its network namespace, as lines that can be compared.
// Independent of src/ but for the addon's dumps: what a test leaves behind is found by reading, not
// by bookkeeping.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Addon, LinkInfo, Netlink } from "../../src/kernel/binding.js";

/** One line an object, sorted. Equal lines are separate objects. */
export type KernelState = readonly string[];

const CLSACT_HOOKS = [0xfffffff2, 0xfffffff3];
// The kernel's own entries for loopback and multicast, made by any traffic.
const NUD_NOARP = 0x40;
const SETTLE_POLL_MS = 20;

const hex = (value: number): string => value.toString(16);
/** 0x0a000001 is "10.0.0.1". */
export const ipText = (ip: number): string =>
  [24, 16, 8, 0].map((shift) => (ip >>> shift) & 255).join(".");

/**
 * Links, qdiscs, classes, filters, addresses, routes, neighbours and FDB entries of the current
 * namespace.
 */
export function readNetwork(netlink: Netlink): KernelState {
  const links = netlink.links();
  const nameOf = new Map(links.map((link) => [link.ifindex, link.name]));
  const name = (ifindex: number): string => nameOf.get(ifindex) ?? `#${ifindex}`;
  const lines = links.flatMap((link) => linkLines(netlink, link));
  for (const { ifindex, ip, prefixLength } of netlink.addresses()) {
    lines.push(`address ${ipText(ip)}/${prefixLength} on ${name(ifindex)}`);
  }
  for (const route of netlink.routes()) {
    const { destination, prefixLength, gateway, ifindex, table, type } = route;
    const to = `${ipText(destination)}/${prefixLength} via ${ipText(gateway)} on ${name(ifindex)}`;
    lines.push(`route ${to} table ${table} type ${type}`);
  }
  for (const { ifindex, ip, mac, state } of netlink.neighbors()) {
    if ((state & NUD_NOARP) === 0)
      lines.push(`neighbour ${ipText(ip)} ${hex(mac)} on ${name(ifindex)}`);
  }
  return lines.sort();
}

function linkLines(netlink: Netlink, link: LinkInfo): string[] {
  const { ifindex, name, kind, master, up, mac, mtu, alias } = link;
  const lines = [
    `link ${name} index ${ifindex} ${kind || "-"} master ${master} up ${up} mac ${hex(mac)} mtu ${mtu} "${alias}"`,
  ];
  for (const qdisc of netlink.qdiscs(ifindex)) {
    lines.push(`qdisc ${qdisc.kind} ${hex(qdisc.handle)} parent ${hex(qdisc.parent)} on ${name}`);
    const hooks = qdisc.kind === "clsact" ? CLSACT_HOOKS : [qdisc.handle];
    // Handle 0 is a queue the kernel made by itself; it takes no filters.
    for (const hook of hooks.filter((handle) => handle !== 0)) {
      for (const filter of netlink.filters(ifindex, hook)) {
        lines.push(
          `filter ${filter.kind} ${filter.priority} ${hex(filter.handle)} parent ${hex(hook)} on ${name}`,
        );
      }
    }
  }
  // A TBF's own class comes and goes with it.
  for (const cls of netlink.classes(ifindex).filter((one) => one.kind !== "tbf"))
    lines.push(`class ${cls.kind} ${hex(cls.handle)} on ${name}`);
  if (kind === "bridge") {
    for (const entry of netlink.fdb(ifindex))
      lines.push(`fdb ${hex(entry.mac)} state ${entry.state} on ${name}`);
  }
  return lines;
}

/**
 * The open files of this process: what each one is, without the numbers that differ from run to
 * run. BPF maps and programs carry their id, so that a leaked one can be named.
 */
export function readOpenFiles(): KernelState {
  const lines: string[] = [];
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      lines.push(`fd ${target.replace(/^(socket|pipe):\[\d+\]$/, "$1")}${bpfId(fd, target)}`);
    } catch {
      // The directory that is being read here; closed by now.
    }
  }
  return lines.sort();
}

function bpfId(fd: string, target: string): string {
  if (!/bpf/.test(target)) return "";
  const id = /^(?:map|prog|link)_id:\s*(\d+)/m.exec(
    readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"),
  );
  return id ? ` id ${id[1]}` : "";
}

/** Everything a test file has to leave as it found it. */
export function readKernelState(addon: Addon): KernelState {
  const netlink = new addon.Netlink();
  try {
    return [...readNetwork(netlink), ...readOpenFiles()];
  } finally {
    netlink.close();
  }
}

/** "+ line" for what is new, "- line" for what is gone; empty when nothing differs. */
export function compareKernelStates(before: KernelState, after: KernelState): string[] {
  const counts = new Map<string, number>();
  for (const line of before) counts.set(line, (counts.get(line) ?? 0) - 1);
  for (const line of after) counts.set(line, (counts.get(line) ?? 0) + 1);
  return [...counts]
    .flatMap(([line, count]) =>
      Array.from({ length: Math.abs(count) }, () => `${count > 0 ? "+" : "-"} ${line}`),
    )
    .sort();
}

/**
 * Compares again until nothing differs or the time is up: sockets and processes close a little
 * after they are told to.
 */
export async function settledDifference(
  before: KernelState,
  read: () => KernelState,
  withinMs: number,
): Promise<string[]> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const difference = compareKernelStates(before, read());
    if (difference.length === 0 || performance.now() >= deadline) return difference;
    await sleep(SETTLE_POLL_MS);
  }
}
