// How TAPs are deleted, as pure data: by group where it goes well, one by one where it does not,
// and never one that is to stay.

import { describe, expect, test } from "vitest";
import { type ReapJob, reap } from "../../src/plans/reap.js";
import { FACTS, recordingKernel } from "../support/recording-kernel.js";

const [EPERM, ENOENT, EBUSY, ENODEV] = [1, 2, 16, 19] as const;

describe("reaping", () => {
  const jobs: ReapJob[] = [7, 8].map((n) => ({
    tapName: `tap${n}`,
    ifindex: n,
    ip: 0x0a640000 + n,
    mac: 0x02000a640000 + n,
  }));
  const DELETE_GROUP = `RTM_DELLINK group ${FACTS.condemnedGroup}`;

  test("marks all in one send, and deletes them as a group", () => {
    const { kernel, operations } = recordingKernel();
    expect(reap(kernel, FACTS, jobs)).toEqual([null, null]);
    expect(operations).toEqual([
      "RTM_NEWLINK group on tap7",
      "RTM_DELNEIGH 10.100.0.7 on vmbr0",
      "RTM_NEWLINK group on tap8",
      "RTM_DELNEIGH 10.100.0.8 on vmbr0",
      `${DELETE_GROUP} on vmbr0`,
    ]);
  });

  test("takes what is gone as deleted", () => {
    expect(reap(recordingKernel(() => ENODEV).kernel, FACTS, jobs)).toEqual([null, null]);
    const withoutNeighbors = recordingKernel((operation) =>
      operation.startsWith("RTM_DELNEIGH") ? ENOENT : 0,
    );
    expect(reap(withoutNeighbors.kernel, FACTS, jobs)).toEqual([null, null]);
  });

  test("takes the mark off what is refused before the group goes", () => {
    const { kernel, messages } = recordingKernel((_, nth) => (nth === 4 ? EPERM : 0));
    expect(reap(kernel, FACTS, jobs)).toEqual([
      null,
      expect.objectContaining({ errno: EPERM, leftBehind: [] }),
    ]);
    const unmark = messages.findIndex(
      (m) => m.op === "link.set" && m.ifindex === 8 && m.group === 0,
    );
    const group = messages.findIndex((m) => m.op === "link.deleteGroup");
    expect(unmark).toBeGreaterThan(0);
    expect(group).toBeGreaterThan(unmark);
    expect(messages[unmark + 1]).toEqual({
      op: "neighbor.set",
      ifindex: 3,
      ip: jobs[1]?.ip,
      mac: jobs[1]?.mac,
    });
  });

  test("deletes one by one where the group is refused, and keeps only the culprit", () => {
    const refuse = (operation: string, nth: number) =>
      operation === DELETE_GROUP || (operation === "RTM_DELLINK" && nth === 6) ? EBUSY : 0;
    const { kernel, operations } = recordingKernel(refuse);
    expect(reap(kernel, FACTS, jobs)).toEqual([
      expect.objectContaining({ errno: EBUSY, leftBehind: [] }),
      null,
    ]);
    expect(operations.slice(5)).toEqual([
      "RTM_DELLINK on tap7",
      "RTM_DELLINK on tap8",
      "RTM_NEWLINK group on tap7",
      "RTM_NEWNEIGH 10.100.0.7 on vmbr0",
    ]);
  });

  test("never deletes the group while a TAP that is to stay is in it", () => {
    // The neighbour of tap8 is refused, and so is taking the mark off.
    const { kernel, operations } = recordingKernel((_, nth) =>
      nth === 4 || nth === 5 ? EPERM : 0,
    );
    const [, second] = reap(kernel, FACTS, jobs);
    expect(second).toMatchObject({ leftBehind: ["link group of tap8"] });
    expect(operations).not.toContain(`${DELETE_GROUP} on vmbr0`);
    expect(operations).toContain("RTM_DELLINK on tap7");
  });

  test("deletes a TAP once that two ask for, with all that either knows of it", () => {
    const [job] = jobs as [ReapJob];
    const { kernel, operations } = recordingKernel();
    expect(reap(kernel, FACTS, [job, { tapName: "tap7", ifindex: 7 }])).toEqual([null, null]);
    expect(operations.slice(0, 2)).toEqual([
      "RTM_NEWLINK group on tap7",
      "RTM_DELNEIGH 10.100.0.7 on vmbr0",
    ]);
    expect(operations).toHaveLength(3);
  });

  test("asks the kernel nothing when there is nothing to do", () => {
    const { kernel, operations } = recordingKernel();
    expect(reap(kernel, FACTS, [])).toEqual([]);
    expect(operations.filter((operation) => operation.includes("RTM_DELLINK"))).toEqual([]);
  });
});
