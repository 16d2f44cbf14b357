// What is in the kernel now, read once and indexed for look-ups: links, queues, classes, bound
// addresses and the lease map. Filters are asked for TAP by TAP, as the kernel lists them.

import type { NetworkFacts } from "../facts.js";
import type { Subnet } from "../identity/ipv4.js";
import type {
  ClassInfo,
  FdbInfo,
  FilterInfo,
  LinkInfo,
  NeighborInfo,
  QdiscInfo,
} from "../kernel/binding.js";
import type { Kernel } from "../kernel/kernel.js";
import type { Ipv4, Mac, TcHandle } from "../kernel/messages.js";
import { LEASE_BYTES } from "../lease/lease.js";
import { isOwnTap } from "./ownership.js";

export class Found {
  readonly facts: NetworkFacts;
  readonly links: ReadonlyMap<number, LinkInfo>;
  readonly leases: ReadonlyMap<number, Buffer>;
  /** On the bridge. */
  readonly neighbors: ReadonlyMap<Ipv4, NeighborInfo>;
  readonly #subnet: Subnet;
  #classes: Map<TcHandle, ClassInfo>;
  readonly #fdb: ReadonlyMap<Mac, FdbInfo[]>;
  readonly #qdiscs: ReadonlyMap<number, QdiscInfo[]>;
  readonly #kernel: Kernel;

  /** Reads; throws Refused. The map comes first: whoever is in it has had a TAP. */
  constructor(kernel: Kernel, facts: NetworkFacts, subnet: Subnet) {
    const { bridge, shaper, maps } = facts;
    this.#kernel = kernel;
    this.facts = facts;
    this.#subnet = subnet;
    const entries = kernel.bpf.mapEntries(maps.leases, 4, LEASE_BYTES);
    this.leases = new Map(entries.map(({ key, value }) => [key.readUInt32LE(0), value]));
    this.links = new Map(kernel.links().map((link) => [link.ifindex, link]));
    this.#qdiscs = grouped(kernel.qdiscs(), ({ ifindex }) => ifindex);
    const classes = this.links.has(shaper.ifindex) ? kernel.classes(shaper.ifindex) : [];
    this.#classes = new Map(classes.map((one) => [one.handle, one]));
    const hasBridge = this.links.has(bridge.ifindex);
    const neighbors = hasBridge ? kernel.neighbors(bridge.ifindex) : [];
    this.neighbors = new Map(neighbors.map((entry) => [entry.ip, entry]));
    this.#fdb = grouped(hasBridge ? kernel.fdb(bridge.ifindex) : [], ({ mac }) => mac);
  }

  /** Of the shaper, by handle. */
  get classes(): ReadonlyMap<TcHandle, ClassInfo> {
    return this.#classes;
  }

  /** From now on no class counts as there: their root is going to be deleted. */
  forgetTree(): void {
    this.#classes = new Map();
  }

  /** From now on this class does not count as there: it is going to be deleted. */
  forgetClass(handle: TcHandle): void {
    this.#classes.delete(handle);
  }

  /** The TAPs that are provably this network's. */
  get ownTaps(): LinkInfo[] {
    return [...this.links.values()].filter(({ ifindex }) => this.isOwn(ifindex));
  }

  isOwn(ifindex: number): boolean {
    const link = this.links.get(ifindex);
    const { bridge } = this.facts;
    return (
      link !== undefined && isOwnTap(this.#kernel, link, bridge.ifindex, this.#subnet, this.leases)
    );
  }

  /** The qdisc under a parent: a class, the root, or the hook of clsact. */
  qdisc(ifindex: number, parent: TcHandle): QdiscInfo | undefined {
    return this.#qdiscs.get(ifindex)?.find((one) => one.parent === parent);
  }

  /** A device's forwarding entries for a MAC; a VLAN's own entry is another one. */
  forwarding(mac: Mac): readonly FdbInfo[] {
    return this.#fdb.get(mac) ?? [];
  }

  /** Asks the kernel; empty when the TAP has gone meanwhile. */
  filters(ifindex: number, parent: TcHandle): FilterInfo[] {
    return this.#kernel.filters(ifindex, parent);
  }
}

function grouped<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}
