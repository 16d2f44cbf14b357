// What an inspection found that is provably ours and that nobody here has. Whatever came or went
// while the worker looked is told apart from it.

import { setImmediate as nextTurn } from "node:timers/promises";
import type { Guest } from "../guests/guest.js";
import { macOf } from "../identity/ipv4.js";
import type { Stranded } from "../identity/stranded.js";
import type { Ipv4 } from "../kernel/messages.js";
import type { Parts } from "../parts.js";
import type {
  Leftovers,
  Remaining,
  UnknownLease,
  UnknownNeighbor,
  UnknownTap,
} from "../plans/leftovers.js";

/** What is there, is ours, and nobody here has. Empty for one guest. */
export interface Strays {
  taps: UnknownTap[];
  /** Map entries without a link. */
  leases: UnknownLease[];
  neighbors: (UnknownNeighbor & { standby?: Guest })[];
  /** What failed undos kept out of use, with what is still there of it. */
  stranded: { one: Stranded; remaining: Remaining }[];
}

export const NO_STRAYS: Strays = { taps: [], leases: [], neighbors: [], stranded: [] };

/** Asks the create lane about TAPs that it may have been making. */
export async function findStrays(
  parts: Parts,
  leftovers: Leftovers,
  known: Known,
  stranded: readonly Stranded[],
): Promise<Strays> {
  const { lanes, options, identities } = parts;
  known.look();
  // Also with nothing to ask about: what the create lane has made by then is known after it.
  const asked = {
    taps: leftovers.taps.map(({ ifindex }) => ifindex).filter((one) => !known.hasTap(one)),
    neighbors: leftovers.neighbors.flatMap((one) => known.strayNeighbor(one)).map(({ ip }) => ip),
  };
  const answer = await lanes.confirm(options.subnet, asked);
  const [taps, addresses] = [new Set(answer.taps), new Set(answer.neighbors)];
  // The makers of those slots go on in this turn of the event loop.
  await nextTurn();
  known.look();
  identities.avoidClasses(leftovers.foreignClasses);
  const neighbors = leftovers.neighbors.filter(({ ip }) => addresses.has(ip));
  return {
    taps: leftovers.taps.filter(({ ifindex }) => taps.has(ifindex) && !known.hasTap(ifindex)),
    leases: leftovers.leases.filter(({ ifindex }) => !known.hasTap(ifindex)),
    neighbors: neighbors.flatMap((entry) => known.strayNeighbor(entry)),
    stranded: stranded.map((one, i) => ({ one, remaining: leftovers.remaining[i] as Remaining })),
  };
}

/** What somebody here has had at any of several moments: what is known at one of them is no stray. */
export class Known {
  readonly #parts: Parts;
  readonly #taps = new Set<number>();
  /** Of guests that are not in standby, and of warm slots. */
  readonly #addresses = new Set<Ipv4>();
  #standby: ReadonlyMap<Ipv4, Guest> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Adds the TAPs that guests, warm slots and deletions under way have, and who is in standby. */
  look(): void {
    const { registry, pool, reaper } = this.#parts;
    for (const { ifindex, donorIfindex, ip, state } of registry.all()) {
      this.#taps.add(ifindex).add(donorIfindex);
      if (state !== "standby") this.#addresses.add(ip);
    }
    for (const { ifindex, address } of pool.slots()) {
      this.#taps.add(ifindex);
      this.#addresses.add(address.ip);
    }
    for (const ifindex of reaper.underWay) this.#taps.add(ifindex);
    const former = this.#standby;
    const now = registry.all().filter(({ state, releasing }) => state === "standby" && !releasing);
    this.#standby = new Map(
      now
        .filter((guest) => !former || former.get(guest.ip) === guest)
        .map((guest) => [guest.ip, guest]),
    );
  }

  hasTap(ifindex: number): boolean {
    return this.#taps.has(ifindex);
  }

  /** An entry that only a guest in standby, or nobody, can have, with the MAC that proves it ours. */
  strayNeighbor(entry: UnknownNeighbor): Strays["neighbors"] {
    const { ip, mac } = entry;
    if (this.#addresses.has(ip)) return [];
    const standby = this.#standby?.get(ip);
    if (standby) return standby.lease.mac === mac ? [{ ...entry, standby }] : [];
    return macOf(ip) === mac && !this.#parts.identities.isTaken(ip) ? [entry] : [];
  }
}
