// Every kernel operation of the plans of an open network fails in turn, with every kind of failure.
// The plan succeeds all the same, or it names the operation, the kernel is as it was, and a second
// try succeeds. FORKNET_ALL_FAULTS=1 takes every kind at every operation.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { rebindSlot } from "../../dist/plans/rebind.js";
import { failEach, GONE, kindsOf, type Plan, ROUNDS } from "../support/fail-each.js";
import { Faults } from "../support/faults.js";
import { HIGHER, LIMITS, LOWER, PlanBed } from "../support/plan-bed.js";

const faults = new Faults();
const bed = new PlanBed();

beforeAll(() => {
  bed.open();
  bed.make(1);
  bed.arm(1);
});

afterEach(() => {
  faults.none();
  bed.facts.tap.multiQueue = false;
});

afterAll(() => {
  bed.reap(1);
  bed.destroy();
  bed.forget();
});

const reset = () => expect(bed.shape(1, { to: LIMITS })).toBeNull();

const CREATE: Plan = {
  name: "create with a new class",
  run: () => {
    bed.make(2);
    return null;
  },
  clean: () => {
    bed.reap(2);
    bed.deleteClass(2);
  },
};
const CREATE_AGAIN: Plan = {
  name: "create with a class of the free list",
  run: () => {
    bed.make(3);
    return null;
  },
  clean: () => bed.reap(3),
};

const PLANS: Plan[] = [
  CREATE,
  CREATE_AGAIN,
  {
    name: "rebind a warm slot",
    prepare: () => bed.make(4),
    run: () => {
      const former = { ...bed.spec(4), ifindex: bed.ifindex(4) };
      const spec = { ...bed.spec(5, "restored"), class: former.class };
      rebindSlot(bed.kernel, bed.facts, former, spec);
      return null;
    },
    giveUp: () => bed.reap(4),
    clean: () => {
      bed.reap(4);
      bed.deleteNeighbor(5);
    },
  },
  ...[false, true].map((multiQueue) => ({
    name: `give a warm slot away${multiQueue ? ", with several queues" : ""}`,
    prepare: () => {
      bed.facts.tap.multiQueue = multiQueue;
      bed.make(4);
    },
    run: () => {
      const former = { ...bed.spec(4), ifindex: bed.ifindex(4) };
      const spec = { ...bed.spec(4), class: { ...former.class, exists: true } };
      rebindSlot(bed.kernel, bed.facts, former, { ...spec, owner: { uid: 7, gid: 8 } });
      expect(bed.ownerOf(4)).toEqual({ uid: 7, gid: 8 });
      return null;
    },
    giveUp: () => bed.reap(4),
    clean: () => bed.reap(4),
  })),
  {
    name: "create with an owner and several queues",
    prepare: () => {
      bed.facts.tap.multiQueue = true;
    },
    run: () => {
      bed.make(3, { uid: 7 });
      expect(bed.ownerOf(3)).toEqual({ uid: 7 });
      return null;
    },
    clean: () => bed.reap(3),
  },
  { name: "raise limits", prepare: reset, run: () => bed.shape(1, { from: LIMITS, to: HIGHER }) },
  { name: "lower limits", prepare: reset, run: () => bed.shape(1, { from: LIMITS, to: LOWER }) },
  {
    name: "limits of a claimed warm slot",
    prepare: reset,
    run: () => bed.shape(1, { from: LIMITS, to: HIGHER, unproved: bed.lease(1) }),
  },
  {
    name: "delete a slot",
    believesGone: true,
    prepare: () => bed.make(6),
    run: () => bed.reap(6),
  },
  {
    name: "delete three slots",
    believesGone: true,
    isPartial: true,
    prepare: () => {
      for (const number of [6, 7, 8]) bed.make(number);
    },
    run: () => bed.reap(6, 7, 8),
  },
  {
    name: "survey",
    run: () => {
      bed.survey(1);
      return null;
    },
  },
  {
    name: "give a guest's TAP back to its owner",
    isPartial: true,
    prepare: () => bed.takeAway(1),
    run: () => bed.mend(1),
  },
  {
    name: "mend",
    isPartial: true,
    prepare: () => {
      reset();
      bed.spoil(1);
    },
    run: () => bed.mend(1),
  },
];

describe.each(PLANS)("$name", (plan) => {
  test.each(ROUNDS)("with failures, round %i", (round) => {
    expect(failEach(faults, plan, kindsOf(plan, round))).toBeGreaterThanOrEqual(2);
  });
});

test.each([CREATE, CREATE_AGAIN])("$name of a TAP that somebody deletes meanwhile", (plan) => {
  failEach(faults, plan, () => GONE);
});
