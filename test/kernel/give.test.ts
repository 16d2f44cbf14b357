// How a TAP is given to another owner, and how one comes to be that others could open while it was
// made: what they do in between is done here by a kernel that lets them, at the very moment.

import { afterAll, afterEach, beforeAll, expect, it, onTestFinished } from "vitest";
import { type Kernel, Refused } from "../../dist/kernel/kernel.js";
import { giveTap } from "../../dist/plans/give.js";
import { createSlot } from "../../dist/plans/slot.js";
import { loadAddon } from "../../src/kernel/addon.js";
import { Faults } from "../support/faults.js";
import { compareKernelStates } from "../support/kernel-state.js";
import { deleteLink, linkNamed, tellKernel } from "../support/kernel-view.js";
import { readEverything } from "../support/network-state.js";
import { PlanBed } from "../support/plan-bed.js";

new Faults().none();
const bed = new PlanBed();
const EBUSY = 16;
const ENODEV = 19;

beforeAll(() => bed.open());

afterEach(() => {
  bed.facts.tap.multiQueue = false;
  for (const number of [1, 2]) if (bed.ifindex(number) !== 0) bed.reap(number);
});

afterAll(() => {
  bed.destroy();
  bed.forget();
});

function refusalOf(run: () => unknown) {
  try {
    run();
  } catch (error) {
    if (error instanceof Refused) return error.failure;
    throw error;
  }
  return undefined;
}

const give = (number: number, kernel: Kernel = bed.kernel) =>
  giveTap(kernel, bed.ifindex(number), bed.spec(number).tapName, { uid: 7, gid: 8 });

/** Opens a queue that stays open to the end of the test. */
function hold(name: string): void {
  const { vnetHdr, multiQueue } = bed.facts.tap;
  const { fd } = loadAddon().openTap({ name, vnetHdr, multiQueue });
  onTestFinished(() => loadAddon().closeFd(fd));
}

/** The same kernel, in which somebody opens a TAP just before an operation, or just after. */
function withStranger(operation: "openTap" | "setTapOwner", name: string): Kernel {
  return {
    ...bed.kernel,
    setTapOwner: (fd, uid) => {
      if (operation === "setTapOwner") hold(name);
      bed.kernel.setTapOwner(fd, uid);
    },
    openTap: (options) => {
      const opened = bed.kernel.openTap(options);
      if (operation === "openTap") hold(name);
      return opened;
    },
  };
}

it.each([false, true])("gives a TAP that nobody has open (several queues: %o)", (multiQueue) => {
  bed.facts.tap.multiQueue = multiQueue;
  bed.make(1);
  give(1);
  expect(bed.ownerOf(1)).toEqual({ uid: 7, gid: 8 });
});

it.each([false, true])("refuses one that somebody has open (several queues: %o)", (multiQueue) => {
  bed.facts.tap.multiQueue = multiQueue;
  bed.make(1);
  hold("fk-1");
  const before = bed.ownerOf(1);
  expect(refusalOf(() => give(1))).toMatchObject({
    code: "ERR_FORKNET_CONFLICT",
    errno: EBUSY,
    text: expect.stringMatching(/fk-1 open.*end that process/) as string,
  });
  expect(bed.ownerOf(1)).toEqual(before);
});

it("notices who opens another queue in between", () => {
  bed.facts.tap.multiQueue = true;
  bed.make(1);
  const refused = refusalOf(() => give(1, withStranger("setTapOwner", "fk-1")));
  expect(refused).toMatchObject({ code: "ERR_FORKNET_CONFLICT", errno: EBUSY });
});

it("says what to do about an id that the kernel does not take away", () => {
  bed.make(1);
  const run = () => giveTap(bed.kernel, bed.ifindex(1), "fk-1", { gid: 8 });
  expect(refusalOf(run)).toMatchObject({
    code: "ERR_FORKNET_CONFLICT",
    text: expect.stringMatching(
      /belongs to uid 0 and cannot be given to gid 8.*recreate/,
    ) as string,
  });
});

it("finds the TAP under the name that somebody gave it", () => {
  bed.make(1);
  tellKernel({ op: "link.set", ifindex: bed.ifindex(1), name: "renamed" });
  give(1);
  expect(bed.ownerOf(1)).toEqual({ uid: 7, gid: 8 });
});

it("leaves the TAP alone that has the name by then", () => {
  bed.make(1);
  bed.make(2);
  const swap: Kernel["openTap"] = (options) => {
    tellKernel(
      { op: "link.set", ifindex: bed.ifindex(1), name: "elsewhere" },
      { op: "link.set", ifindex: bed.ifindex(2), name: "fk-1" },
    );
    return bed.kernel.openTap(options);
  };
  const before = bed.ownerOf(2);
  const refused = refusalOf(() => give(1, { ...bed.kernel, openTap: swap }));
  expect(refused).toMatchObject({ errno: ENODEV, operation: "RTM_GETLINK" });
  expect([bed.ownerOf(1), bed.ownerOf(2)]).toEqual([before, before]);
});

it("makes no TAP in place of one that is gone", () => {
  bed.make(1);
  deleteLink("fk-1");
  expect(refusalOf(() => give(1))).toMatchObject({ errno: ENODEV });
  expect(linkNamed("fk-1")).toBeUndefined();
});

it("makes no slot of a TAP that others opened while it belonged to nobody", () => {
  bed.facts.tap.multiQueue = true;
  const before = readEverything();
  const kernel = withStranger("openTap", "fk-3");
  const run = () => createSlot(kernel, bed.facts, { ...bed.spec(3), owner: { uid: 7 } });
  // Without a code: the lane tries it again.
  expect(refusalOf(run)).toEqual({
    operation: "TUNSETIFF",
    device: "fk-3",
    errno: EBUSY,
    text: "another process opened it while it was being made",
    leftBehind: [],
  });
  expect(compareKernelStates(before, readEverything())).toEqual([]);
});
