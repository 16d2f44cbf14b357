// The shaper's classes as a new process takes them over: those of guests and groups stay theirs, the
// rest goes on the free lists unless it may be an unproved TAP's, and the class of a group that is no
// more is deleted with what stands under it.

import { CAPACITY_MINOR, type ClassClaim, flipOf } from "./identity/class-pool.js";
import type { Parts } from "./parts.js";
import type { Adoption } from "./plans/adopt.js";

type Found = Adoption["classes"][number];

/** The classes of live guests, by minor. One that is not in the kernel counts as under the capacity. */
export function takeOverClasses(
  { identities, groups }: Pick<Parts, "identities" | "groups">,
  { guests, classes, unproved }: Adoption,
): Map<number, ClassClaim> {
  const byMinor = new Map(classes.map((one) => [one.minor, one]));
  const inUse = new Set(guests.map(({ lease }) => lease.classMinor));
  /** Inner classes that no group has taken. */
  const ownerless = new Set(classes.map(({ parent }) => parent).filter((one) => byMinor.has(one)));
  const taken = new Set(inUse);
  for (const { lease } of guests) {
    const parent = byMinor.get(byMinor.get(lease.classMinor)?.parent ?? CAPACITY_MINOR);
    if (lease.group === undefined || !parent || !groups.adopt(lease.group, parent.minor, parent))
      continue;
    ownerless.delete(parent.minor);
    taken.add(parent.minor);
  }
  // Any of them may be that of a TAP that nothing proves.
  const isKept = unproved.length > 0;
  const isDoomed = ({ minor, parent }: Found) =>
    !isKept && !taken.has(minor) && (ownerless.has(minor) || ownerless.has(parent));
  for (const one of classes) {
    const { minor, leaf, parent } = one;
    identities.adoptClass(minor, leaf, taken.has(minor) || isKept || isDoomed(one), parent);
  }
  const doomed = classes.filter(isDoomed).map(({ minor }) => minor);
  // Children first.
  doomed.sort((a, b) => Number(ownerless.has(a)) - Number(ownerless.has(b)));
  if (doomed.length > 0) void groups.remove(doomed);
  return new Map(
    [...inUse].map((minor) => {
      const found = byMinor.get(minor);
      if (!found) identities.adoptClass(minor, 0, true);
      return [minor, claimOf(minor, found)];
    }),
  );
}

function claimOf(minor: number, found: Found | undefined): ClassClaim {
  const { leaf = 0, parent = CAPACITY_MINOR } = found ?? {};
  const under = parent === CAPACITY_MINOR ? {} : { parent };
  return { minor, exists: found !== undefined, flip: flipOf(leaf), ...under };
}
