// Minors of the HTB classes under 1: on the shaper. A class that its guest has left stays in the
// kernel and on a free list here: changing it costs the same however many there are, adding and
// deleting does not.

/** 1:1 is the inner class that holds the network's capacity. */
export const CAPACITY_MINOR = 1;
/** 1:2 is the default class; its leaf is a blackhole, so that nothing passes unclassified. */
export const DEFAULT_MINOR = 2;
/** Minors below are the network's own. */
export const FIRST_GUEST_MINOR = 0x10;
/**
 * A leaf's handle is its minor with the top bit as generation (see leafHandle), so minors have 15
 * bits.
 */
const LAST_MINOR = 0x7fff;

/** A class of one guest. */
export interface ClassClaim {
  minor: number;
  /** The class is in the kernel already: change it instead of adding it. */
  exists: boolean;
  /**
   * Flips at each reuse; selects the leaf handle, so that a new leaf replaces the old one with its
   * backlog.
   */
  flip: 0 | 1;
}

export class ClassPool {
  readonly #inKernel = new Map<number, 0 | 1>();
  readonly #taken = new Set<number>();
  /** Classes in the kernel that nobody uses, longest free first. */
  readonly #free = new Set<number>();
  /** Minors that were claimed and given back without ever reaching the kernel. */
  readonly #unused: number[] = [];
  /** Minors of classes on the shaper that are somebody else's. */
  #foreign: ReadonlySet<number> = new Set();
  #next = FIRST_GUEST_MINOR;

  /** undefined when all minors are taken. */
  claim(): ClassClaim | undefined {
    for (const minor of this.#free) {
      this.#free.delete(minor);
      this.#taken.add(minor);
      const flip = (this.#inKernel.get(minor) as 0 | 1) ^ 1;
      return { minor, exists: true, flip: flip as 0 | 1 };
    }
    const minor = this.#takeUnused() ?? this.#skipTo();
    if (minor === undefined) return undefined;
    this.#taken.add(minor);
    return { minor, exists: false, flip: 0 };
  }

  /** The class now exists in the kernel with this leaf. */
  created(claim: ClassClaim): void {
    this.#inKernel.set(claim.minor, claim.flip);
  }

  /** Gives the class back; it must not be used by anybody any more. */
  release(minor: number): void {
    if (!this.#taken.delete(minor)) return;
    if (this.#inKernel.has(minor)) this.#free.add(minor);
    else this.#unused.push(minor);
  }

  /** Takes over a class found in the kernel at open; `inUse` when a live guest has it. */
  adopt(minor: number, leafHandle: number, inUse: boolean): void {
    this.#inKernel.set(minor, flipOf(leafHandle));
    if (inUse) this.#taken.add(minor);
    else this.#free.add(minor);
  }

  /** Others have classes with these minors, and no more with those named before. */
  avoid(minors: readonly number[]): void {
    this.#foreign = new Set(minors);
  }

  /** Classes in the kernel that nobody uses. */
  get free(): number[] {
    return [...this.#free];
  }

  /** Somebody deleted the class: whoever gets it next has to add it. */
  lost(minor: number): void {
    this.#inKernel.delete(minor);
    if (this.#free.delete(minor)) this.#unused.push(minor);
  }

  #takeUnused(): number | undefined {
    const at = this.#unused.findLastIndex((minor) => !this.#foreign.has(minor));
    return at === -1 ? undefined : this.#unused.splice(at, 1)[0];
  }

  #skipTo(): number | undefined {
    while (this.#next <= LAST_MINOR) {
      const minor = this.#next++;
      if (this.#foreign.has(minor)) this.#unused.push(minor);
      else if (!this.#inKernel.has(minor) && !this.#taken.has(minor)) return minor;
    }
    return undefined;
  }
}

/** The handle of a class's leaf qdisc: its minor as major, the generation in the top bit. */
export function leafHandle(claim: { minor: number; flip: 0 | 1 }): number {
  return ((claim.minor | (claim.flip << 15)) << 16) >>> 0;
}

/** The generation in a leaf's handle. */
export function flipOf(handle: number): 0 | 1 {
  return handle >>> 31 === 1 ? 1 : 0;
}

/** 1:a0 for minor 0xa0. */
export function formatClass(minor: number): string {
  return `1:${minor.toString(16)}`;
}
