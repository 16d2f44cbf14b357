// Minors of the HTB classes under 1: on the shaper. A class that its guest has left stays in the
// kernel and on a free list here, for another guest of the same parent: changing it costs the same
// however many there are, adding and deleting does not, and no change moves a class to another parent.

/** 1:1 is the inner class that holds the network's capacity. */
export const CAPACITY_MINOR = 1;
/** 1:2 is the default class; its leaf is a blackhole, so that nothing passes unclassified. */
export const DEFAULT_MINOR = 2;
/** Minors below are the network's own. */
export const FIRST_GUEST_MINOR = 0x10;
/** A leaf's handle is its minor with two more bits (see leafHandle). The last would be TC_H_ROOT's. */
const LAST_MINOR = 0x3ffe;
const MINOR_BITS = 0x3fff;
/** As many as there can be. */
export const MOST_CLASSES = LAST_MINOR - FIRST_GUEST_MINOR + 1;
/** Tells our leaves from those of the release before: the kernel changes no queue's kind under its handle. */
const LEAF = 0x4000;

/** Whether a guest's or a group's class can have this minor. */
export function isGuestMinor(minor: number): boolean {
  return minor >= FIRST_GUEST_MINOR && minor <= LAST_MINOR;
}

/** A class of one guest, or the inner class of a group. */
export interface ClassClaim {
  minor: number;
  /** The class is in the kernel already: change it instead of adding it. */
  exists: boolean;
  /**
   * Flips at each reuse; selects the leaf handle, so that a new leaf replaces the old one with its
   * backlog.
   */
  flip: 0 | 1;
  /** It may be in the kernel, whatever `exists` says: nobody knows how the job ended that adds it. */
  wasSent?: true;
  /** Minor of the group's class it stands under; absent: under the capacity class. */
  parent?: number;
}

interface KernelClass {
  flip: 0 | 1;
  parent: number;
}

export class ClassPool {
  readonly #inKernel = new Map<number, KernelClass>();
  readonly #taken = new Set<number>();
  /** By parent: classes in the kernel that nobody uses, longest free first. */
  readonly #free = new Map<number, Set<number>>();
  /** Minors that were claimed and given back without ever reaching the kernel. */
  readonly #unused: number[] = [];
  /** Minors of classes on the shaper that are somebody else's. */
  #foreign: ReadonlySet<number> = new Set();
  #next = FIRST_GUEST_MINOR;

  /** A class under a group's class, or under the capacity class. undefined when all minors are taken. */
  claim(parent?: number): ClassClaim | undefined {
    const under = parent === undefined ? {} : { parent };
    const free = this.#free.get(parent ?? CAPACITY_MINOR);
    for (const minor of free ?? []) {
      free?.delete(minor);
      this.#taken.add(minor);
      const flip = (this.#inKernel.get(minor) as KernelClass).flip ^ 1;
      return { minor, exists: true, flip: flip as 0 | 1, ...under };
    }
    const minor = this.#takeUnused() ?? this.#skipTo();
    if (minor === undefined) return undefined;
    this.#taken.add(minor);
    return { minor, exists: false, flip: 0, ...under };
  }

  /** The class now exists in the kernel with this leaf. */
  created({ minor, flip, parent = CAPACITY_MINOR }: ClassClaim): void {
    this.#inKernel.set(minor, { flip, parent });
  }

  /** Gives the class back; it must not be used by anybody any more. */
  release(minor: number): void {
    if (!this.#taken.delete(minor)) return;
    const known = this.#inKernel.get(minor);
    if (known) this.#freeUnder(known.parent).add(minor);
    else this.#unused.push(minor);
  }

  /** Takes over a class found in the kernel at open; `inUse` when a live guest or a group has it. */
  adopt(minor: number, leafHandle: number, inUse: boolean, parent = CAPACITY_MINOR): void {
    this.#inKernel.set(minor, { flip: flipOf(leafHandle), parent });
    if (inUse) this.#taken.add(minor);
    else this.#freeUnder(parent).add(minor);
  }

  /** Others have classes with these minors, and no more with those named before. */
  avoid(minors: readonly number[]): void {
    this.#foreign = new Set(minors);
  }

  /** Classes in the kernel that nobody uses. */
  get free(): number[] {
    return [...this.#free.values()].flatMap((minors) => [...minors]);
  }

  /** Takes the free classes under a group's class, which is about to go with them. */
  takeAll(parent: number): number[] {
    const minors = [...(this.#free.get(parent) ?? [])];
    this.#free.delete(parent);
    for (const minor of minors) this.#taken.add(minor);
    return minors;
  }

  /** The class is in the kernel no more: whoever gets it next has to add it. */
  lost(minor: number): void {
    const known = this.#inKernel.get(minor);
    this.#inKernel.delete(minor);
    if (known && this.#free.get(known.parent)?.delete(minor)) this.#unused.push(minor);
  }

  #freeUnder(parent: number): Set<number> {
    const free = this.#free.get(parent) ?? new Set();
    this.#free.set(parent, free);
    return free;
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
  return ((claim.minor | LEAF | (claim.flip << 15)) << 16) >>> 0;
}

/** The minor of the class whose leaf has this handle, also of the release before. */
export function minorOfLeaf(handle: number): number {
  return (handle >>> 16) & MINOR_BITS;
}

/** The generation in a leaf's handle. */
export function flipOf(handle: number): 0 | 1 {
  return handle >>> 31 === 1 ? 1 : 0;
}

/** 1:a0 for minor 0xa0. */
export function formatClass(minor: number): string {
  return `1:${minor.toString(16)}`;
}
