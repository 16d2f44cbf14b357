// What may not grow: the process's memory, files and handles, what the kernel holds for the network, the standby store.

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { loadAddon } from "../dist/kernel/addon.js";
import { LEASE_BYTES } from "../dist/lease/lease.js";

const HTB_ROOT = 0x0001_0000;
/** @typedef {"rss" | "heap" | "fds" | "resources" | "links" | "qdiscs" | "classes" | "neighbors" | "leases" | "store"} Gauge */
/** @typedef {Record<Gauge, number>} Sample */

/** @type {Record<Gauge, string>} */
const TITLES = {
  rss: "RSS, bytes",
  heap: "JavaScript heap after a collection, bytes",
  fds: "open files",
  resources: "active handles and requests",
  links: "links",
  qdiscs: "qdiscs",
  classes: "HTB classes",
  neighbors: "neighbour entries",
  leases: "entries of the lease map",
  store: "standby store on disk, bytes",
};
export const GAUGES = /** @type {Gauge[]} */ (Object.keys(TITLES));

/** @param {Gauge} gauge */
export function titleOf(gauge) {
  return TITLES[gauge];
}

/** Until then V8 and the allocators of four threads have not taken what they will keep. */
const MEMORY_SETTLES = 20_000;

/**
 * The store is appended to, and made anew when it has 1024 lines more than leases, after the calls of that moment.
 */
const LARGEST_STORE_BYTES = 256 * 1024;

/**
 * What is counted may not rise by half of one. Memory breathes: 5 % of its mean. Before it has settled only a gross
 * leak can be told, and that only by the heap.
 * @param {Gauge} gauge
 * @param {number} cycles of the whole run
 * @returns {import("./slope.mjs").Allowance}
 */
export function allowanceOf(gauge, cycles) {
  if (gauge === "store") return { bound: LARGEST_STORE_BYTES };
  if (gauge !== "rss" && gauge !== "heap") return { less: 0.5 };
  if (cycles >= MEMORY_SETTLES) return { share: 0.05 };
  return gauge === "heap" ? { share: 0.25 } : { less: Number.POSITIVE_INFINITY };
}

/**
 * Reads every gauge; the network should be at rest.
 * @param {string} stateDir
 * @returns {Sample}
 */
export function readGauges(stateDir) {
  // Twice: what the first collection only marks as unreachable the second one frees.
  globalThis.gc?.();
  globalThis.gc?.();
  const netlink = new (loadAddon().Netlink)();
  try {
    const shaper = netlink.links({ kind: "ifb" })[0]?.ifindex;
    return {
      rss: process.memoryUsage.rss(),
      heap: process.memoryUsage().heapUsed,
      // Less the directory that is being read here, and the socket above.
      fds: readdirSync("/proc/self/fd").length - 2,
      resources: process.getActiveResourcesInfo().length,
      links: netlink.links().length,
      qdiscs: netlink.qdiscs().length,
      classes:
        shaper === undefined
          ? 0
          : netlink.classes(shaper).filter(({ kind }) => kind === "htb").length,
      neighbors: netlink.neighbors().length,
      leases: shaper === undefined ? 0 : countLeases(netlink, shaper),
      // Not there before the first standby.
      store: statSync(join(stateDir, "standby.leases"), { throwIfNoEntry: false })?.size ?? 0,
    };
  } finally {
    netlink.close();
  }
}

export function countLinks() {
  const netlink = new (loadAddon().Netlink)();
  try {
    return netlink.links().length;
  } finally {
    netlink.close();
  }
}

/**
 * The lease map is found as an adopting process finds it: through the classifier on the shaper.
 * @param {import("../dist/kernel/binding.js").Netlink} netlink
 * @param {number} shaper
 */
function countLeases(netlink, shaper) {
  const addon = loadAddon();
  const { bpf } = addon;
  const classifier = netlink.filters(shaper, HTB_ROOT)[0]?.bpf;
  if (!classifier) throw new Error("the shaper has no classifier");
  const program = bpf.programById(classifier.programId);
  const maps = program.mapIds.map((id) => bpf.mapById(id));
  try {
    const leases = maps.find(({ name }) => name === "leases");
    if (!leases) throw new Error("the classifier uses no lease map");
    return bpf.mapEntries(leases.fd, 4, LEASE_BYTES).length;
  } finally {
    for (const { fd } of [program, ...maps]) addon.closeFd(fd);
  }
}
