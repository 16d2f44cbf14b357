// Every kernel operation of opening a network fails in turn, with every kind of failure: on a fresh
// system, with a guest to adopt, and with one whose bridge or shaper somebody has deleted. A
// network that does not open leaves everything as it was. Destroying can be repeated.

import { afterEach, describe, expect, test } from "vitest";
import { failEach, kindsOf, type Plan, ROUNDS } from "../support/fail-each.js";
import { ERRNO, Faults } from "../support/faults.js";
import { PlanBed } from "../support/plan-bed.js";

const faults = new Faults();
const bed = new PlanBed();

afterEach(() => faults.none());

const open = () => {
  bed.open();
  return null;
};
const destroy = () => {
  bed.destroy();
  return null;
};

/** Said only of a device that is gone, and believed: outside.test.ts has the devices that are. */
const DEVICE_GONE = ERRNO.ENODEV;

const FRESH: Plan[] = [
  {
    name: "open",
    run: open,
    clean: () => {
      bed.destroy();
      bed.forget();
    },
  },
  {
    name: "destroy",
    prepare: open,
    run: destroy,
    isPartial: true,
    without: [DEVICE_GONE],
    clean: () => bed.forget(),
  },
];

const ADOPTING: Plan[] = [
  { name: "a guest and a leftover", without: [DEVICE_GONE], run: open, clean: () => bed.forget() },
  {
    name: "a guest whose bridge was deleted",
    // Without the right to open the lease map, a TAP on no bridge counts as one half made.
    without: [DEVICE_GONE, ERRNO.EPERM],
    prepare: () => bed.deleteLink("vmbr0"),
    run: open,
    clean: () => bed.forget(),
  },
  {
    name: "a guest whose shaper was deleted",
    without: [DEVICE_GONE],
    prepare: () => bed.deleteLink("fku0a640001"),
    run: open,
    clean: () => bed.forget(),
  },
];

describe.each(FRESH)("$name", (plan) => {
  test.each(ROUNDS)("with failures, round %i", (round) => {
    expect(failEach(faults, plan, kindsOf(plan, round))).toBeGreaterThanOrEqual(2);
  });
});

describe("adopting", () => {
  const prepared = () => {
    bed.open();
    bed.make(1);
    bed.arm(1);
    bed.makeSpare(2);
    bed.forget();
  };
  const clear = () => {
    bed.open();
    bed.reap(1, 2);
    bed.destroy();
    bed.forget();
  };

  describe.each(ADOPTING)("$name", (plan) => {
    test.each(ROUNDS)("with failures, round %i", (round) => {
      prepared();
      expect(failEach(faults, plan, kindsOf(plan, round))).toBeGreaterThanOrEqual(10);
      clear();
    });
  });
});
