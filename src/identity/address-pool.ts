// Which addresses of a subnet are taken, and which comes next: never-used ones from a random start,
// then the longest free. So the last guest's late replies (kept alive by conntrack) rarely meet the
// next guest. O(1) in the number of allocations; one bit an address.

import { randomInt } from "node:crypto";
import type { Ipv4 } from "../kernel/messages.js";
import type { Subnet } from "./ipv4.js";

export class AddressPool {
  readonly #subnet: Subnet;
  readonly #size: number;
  /** Bit i: address network + i is taken. */
  readonly #taken: Uint32Array;
  /** Offset the walk over never-used addresses stands at, and how many it has not yet seen. */
  #next: number;
  #unseen: number;
  #free: number;
  /**
   * Released offsets in order of release, from #head; an entry counts only where #freedAt names its
   * ticket.
   */
  #freed: { offset: number; ticket: number }[] = [];
  #head = 0;
  readonly #freedAt = new Map<number, number>();
  #tickets = 0;

  /** `start` is the offset of the first address to try; random unless a test fixes it. */
  constructor(subnet: Subnet, start?: number) {
    this.#subnet = subnet;
    this.#size = 2 ** (32 - subnet.prefixLength);
    this.#taken = new Uint32Array(Math.ceil(this.#size / 32));
    this.#next = start ?? randomInt(this.#size);
    this.#unseen = this.#size;
    this.#free = this.#size;
    for (const ip of [subnet.network, subnet.gateway, subnet.broadcast]) this.claim(ip);
  }

  /** How many addresses `take` could still give. */
  get free(): number {
    return this.#free;
  }

  isTaken(ip: Ipv4): boolean {
    return has(this.#taken, ip - this.#subnet.network);
  }

  /** All that are taken, those that are nobody's to have included. */
  taken(): Ipv4[] {
    const found: Ipv4[] = [];
    this.#taken.forEach((word, i) => {
      for (let left = word; left !== 0; left &= left - 1) {
        const bit = 31 - Math.clz32(left & -left);
        found.push(this.#subnet.network + i * 32 + bit);
      }
    });
    return found;
  }

  /** Takes the address that was free the longest; undefined when there is none. */
  take(): Ipv4 | undefined {
    const offset = this.#nextUnseen() ?? this.#nextFreed();
    if (offset === undefined) return undefined;
    this.#mark(offset);
    return this.#subnet.network + offset;
  }

  /**
   * Takes exactly this address; false when it is taken. Caller has checked that it is inside the
   * subnet.
   */
  claim(ip: Ipv4): boolean {
    const offset = ip - this.#subnet.network;
    if (has(this.#taken, offset)) return false;
    this.#mark(offset);
    return true;
  }

  /** Gives an address back, to the end of the queue. Returning one that is free changes nothing. */
  release(ip: Ipv4): void {
    const offset = ip - this.#subnet.network;
    if (!has(this.#taken, offset)) return;
    clear(this.#taken, offset);
    this.#free++;
    const ticket = this.#tickets++;
    this.#freedAt.set(offset, ticket);
    this.#freed.push({ offset, ticket });
    // Exact claims leave entries that do not count behind, and without a take nobody would meet
    // them.
    if (this.#freed.length > 2 * this.#freedAt.size + 1024) this.#dropStale();
  }

  #mark(offset: number): void {
    set(this.#taken, offset);
    this.#freedAt.delete(offset);
    this.#free--;
  }

  #dropStale(): void {
    const waiting = this.#freed.slice(this.#head);
    this.#freed = waiting.filter(({ offset, ticket }) => this.#freedAt.get(offset) === ticket);
    this.#head = 0;
  }

  #nextUnseen(): number | undefined {
    while (this.#unseen > 0) {
      const offset = this.#next;
      this.#next = (offset + 1) % this.#size;
      this.#unseen--;
      if (!has(this.#taken, offset) && !this.#freedAt.has(offset)) return offset;
    }
    return undefined;
  }

  #nextFreed(): number | undefined {
    while (this.#head < this.#freed.length) {
      const { offset, ticket } = this.#freed[this.#head++] as { offset: number; ticket: number };
      // Half of the array is behind the head: move the rest down, amortised over as many takes.
      if (this.#head > 1024 && this.#head * 2 > this.#freed.length) {
        this.#freed = this.#freed.slice(this.#head);
        this.#head = 0;
      }
      // Otherwise an exact wish claimed it while it waited; it may stand further back in the queue
      // again.
      if (this.#freedAt.get(offset) === ticket) return offset;
    }
    return undefined;
  }
}

function has(bits: Uint32Array, i: number): boolean {
  return (((bits[i >>> 5] as number) >>> (i & 31)) & 1) === 1;
}
function set(bits: Uint32Array, i: number): void {
  bits[i >>> 5] = (bits[i >>> 5] as number) | (1 << (i & 31));
}
function clear(bits: Uint32Array, i: number): void {
  bits[i >>> 5] = (bits[i >>> 5] as number) & ~(1 << (i & 31));
}
