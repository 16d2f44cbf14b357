// Minors of HTB classes: those of the kernel's free list come first, no two guests have the same,
// and each use of one has another leaf than the use before.

import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import {
  type ClassClaim,
  ClassPool,
  FIRST_GUEST_MINOR,
  flipOf,
  formatClass,
  leafHandle,
  minorOfLeaf,
} from "../../src/identity/class-pool.js";

const LAST_MINOR = 0x3ffe;
const MINORS = LAST_MINOR - FIRST_GUEST_MINOR + 1;

describe("a class pool", () => {
  test("claims new minors from the first one on", () => {
    const pool = new ClassPool();
    expect([pool.claim(), pool.claim()]).toEqual([
      { minor: 0x10, exists: false, flip: 0 },
      { minor: 0x11, exists: false, flip: 0 },
    ]);
  });

  test("takes what is in the kernel before it adds, longest free first, with another leaf each time", () => {
    const pool = new ClassPool();
    const claims = [pool.claim(), pool.claim()] as ClassClaim[];
    for (const claim of claims) pool.created(claim);
    pool.release(0x11);
    pool.release(0x10);
    for (const flip of [1, 0, 1] as const) {
      const again = [pool.claim(), pool.claim()] as ClassClaim[];
      expect(again).toEqual([
        { minor: 0x11, exists: true, flip },
        { minor: 0x10, exists: true, flip },
      ]);
      for (const claim of again) pool.created(claim);
      pool.release(0x11);
      pool.release(0x10);
    }
  });

  test("gives a minor that never reached the kernel again as a new one", () => {
    const pool = new ClassPool();
    pool.claim();
    pool.release(0x10);
    expect(pool.claim()).toEqual({ minor: 0x10, exists: false, flip: 0 });
  });

  test("takes a second release as nothing", () => {
    const pool = new ClassPool();
    pool.created(pool.claim() as ClassClaim);
    pool.release(0x10);
    pool.release(0x10);
    expect([pool.claim()?.minor, pool.claim()?.minor]).toEqual([0x10, 0x11]);
  });

  test("adopts what is in the kernel, with the generation of its leaf", () => {
    const pool = new ClassPool();
    pool.adopt(0x10, 0x0010_0000, true);
    pool.adopt(0x12, 0x8012_0000, false);
    expect([pool.claim(), pool.claim(), pool.claim()]).toEqual([
      { minor: 0x12, exists: true, flip: 0 },
      { minor: 0x11, exists: false, flip: 0 },
      { minor: 0x13, exists: false, flip: 0 },
    ]);
    pool.release(0x10);
    expect(pool.claim()).toEqual({ minor: 0x10, exists: true, flip: 1 });
  });

  test("gives nobody a minor that another has, until that one is gone", () => {
    const pool = new ClassPool();
    const first = pool.claim() as ClassClaim;
    pool.release(first.minor);
    pool.avoid([FIRST_GUEST_MINOR, FIRST_GUEST_MINOR + 1]);
    expect(pool.claim()).toMatchObject({ minor: FIRST_GUEST_MINOR + 2 });
    pool.avoid([FIRST_GUEST_MINOR]);
    expect(pool.claim()).toEqual({ minor: FIRST_GUEST_MINOR + 1, exists: false, flip: 0 });
    pool.avoid([]);
    expect(pool.claim()).toEqual({ minor: FIRST_GUEST_MINOR, exists: false, flip: 0 });
  });

  test("adds a class again that was lost, free or taken", () => {
    const pool = new ClassPool();
    const [free, taken] = [pool.claim(), pool.claim()] as [ClassClaim, ClassClaim];
    for (const claim of [free, taken]) pool.created(claim);
    pool.release(free.minor);
    expect(pool.free).toEqual([free.minor]);
    pool.lost(free.minor);
    pool.lost(taken.minor);
    expect(pool.free).toEqual([]);
    expect(pool.claim()).toEqual({ minor: free.minor, exists: false, flip: 0 });
    pool.release(taken.minor);
    expect(pool.claim()).toEqual({ minor: taken.minor, exists: false, flip: 0 });
  });

  test("ends with undefined when all are taken, and goes on after a release", () => {
    const pool = new ClassPool();
    const minors = new Set(Array.from({ length: MINORS }, () => pool.claim()?.minor));
    expect(minors.size).toBe(MINORS);
    expect(Math.max(...(minors as Set<number>))).toBe(LAST_MINOR);
    expect(pool.claim()).toBeUndefined();
    pool.release(0x1234);
    expect(pool.claim()?.minor).toBe(0x1234);
    expect(pool.claim()).toBeUndefined();
  });

  test.prop([
    fc.array(fc.record({ release: fc.boolean(), reaches: fc.boolean(), which: fc.nat(20) }), {
      maxLength: 100,
    }),
  ])("never gives one class to two, and never the leaf that is there", (steps) => {
    const pool = new ClassPool();
    const held: ClassClaim[] = [];
    const leaves = new Map<number, number>();
    for (const { release, reaches, which } of steps) {
      if (release && held.length > 0) {
        const [claim] = held.splice(which % held.length, 1) as [ClassClaim];
        pool.release(claim.minor);
        continue;
      }
      const claim = pool.claim() as ClassClaim;
      expect(held.map(({ minor }) => minor)).not.toContain(claim.minor);
      expect(claim.exists).toBe(leaves.has(claim.minor));
      expect(leafHandle(claim)).not.toBe(leaves.get(claim.minor));
      held.push(claim);
      if (!reaches) continue;
      pool.created(claim);
      leaves.set(claim.minor, leafHandle(claim));
    }
  });
});

test.prop([
  fc.integer({ min: FIRST_GUEST_MINOR, max: LAST_MINOR }),
  fc.constantFrom(0 as const, 1 as const),
])("a leaf's handle is a major of its own and tells its generation", (minor, flip) => {
  const handle = leafHandle({ minor, flip });
  expect(handle & 0xffff).toBe(0);
  expect(minorOfLeaf(handle)).toBe(minor);
  // As the release before made them.
  expect(minorOfLeaf(((minor | (flip << 15)) << 16) >>> 0)).toBe(minor);
  expect(flipOf(handle)).toBe(flip);
  // 0xffff is TC_H_ROOT's major, and 1 the tree's own.
  expect([1, 2, 0xffff]).not.toContain(handle >>> 16);
  expect(formatClass(minor)).toBe(`1:${minor.toString(16)}`);
});

describe("classes under a group's class", () => {
  test("are free for guests of that group only, and can be taken all at once", () => {
    const pool = new ClassPool();
    const group = pool.claim() as ClassClaim;
    const own = [pool.claim(group.minor), pool.claim(group.minor)] as ClassClaim[];
    expect(own[0]).toEqual({ minor: 0x11, exists: false, flip: 0, parent: group.minor });
    for (const claim of own) {
      pool.created(claim);
      pool.release(claim.minor);
    }
    expect(pool.claim()).toMatchObject({ minor: 0x13, exists: false });
    expect(pool.claim(group.minor)).toEqual({ ...own[0], exists: true, flip: 1 });
    expect(pool.takeAll(group.minor)).toEqual([0x12]);
    expect(pool.takeAll(group.minor)).toEqual([]);
    // It was deleted: its minor is anybody's.
    pool.lost(0x12);
    pool.release(0x12);
    expect(pool.claim()).toEqual({ minor: 0x12, exists: false, flip: 0 });
  });
});
