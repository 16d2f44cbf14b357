// When it is told that somebody takes the firewall's rules away again and again.

import { describe, expect, it } from "vitest";
import { Contest } from "../../src/nat/contest.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** Repairs one after the other; the numbers of those that had to be told. */
function told(contest: Contest, count: number, everyMs: number): number[] {
  const all = Array.from({ length: count }, (_, i) => i + 1);
  return all.filter((i) => contest.repaired(i * everyMs, { pid: i, name: "nft" }));
}

describe("repairs", () => {
  it("are told at the tenth within a minute, and once a minute from then on", () => {
    const contest = new Contest();
    expect(told(contest, 9, SECOND)).toEqual([]);
    expect(told(new Contest(), 140, SECOND)).toEqual([10, 70, 130]);
  });

  it("that are rare are never told", () => {
    expect(told(new Contest(), 100, MINUTE / 9)).toEqual([]);
    expect(told(new Contest(), 11, MINUTE / 10)).toEqual([10]);
  });

  it("are a contest for as long as there are ten in the last minute", () => {
    const contest = new Contest();
    told(contest, 10, SECOND);
    expect(contest.isOn(10 * SECOND)).toBe(true);
    expect(contest.repairs(10 * SECOND)).toBe(10);
    expect(contest.isOn(SECOND + MINUTE)).toBe(false);
    expect(contest.repairs(SECOND + MINUTE)).toBe(9);
  });

  it("name the last process that could be told", () => {
    const contest = new Contest();
    expect(contest.by).toBeUndefined();
    contest.repaired(0, { pid: 7, name: "nft" });
    contest.repaired(SECOND, undefined);
    expect(contest.by).toEqual({ pid: 7, name: "nft" });
  });
});
