// What is guaranteed against what there is: guests alone, guests of groups, and the groups' own part.

import { describe, expect, test } from "vitest";
import { Guarantees } from "../../src/groups/guarantees.js";

const exhausted = expect.objectContaining({ code: "ERR_FORKNET_EXHAUSTED" }) as Error;

describe("the capacity", () => {
  test("holds what guests are guaranteed, and no more", () => {
    const all = new Guarantees(100);
    all.change(0, 60);
    expect(() => all.change(0, 41)).toThrow(exhausted);
    all.change(0, 40);
    all.change(40, 10);
    all.change(0, 30);
    expect(() => all.change(0, 1)).toThrow(exhausted);
  });

  test("counts of a group the larger of its own guarantee and its guests'", () => {
    const all = new Guarantees(100);
    all.limitGroup("a", { rate: 50, ceil: 90 });
    all.change(0, 30, "a");
    expect(() => all.change(0, 51)).toThrow(exhausted);
    all.change(0, 40);
    // 10 are left: the group's guests may have 60.
    all.change(0, 30, "a");
    expect(() => all.change(0, 1, "a")).toThrow(exhausted);
    all.change(30, 0, "a");
    all.change(0, 10);
    expect(() => all.limitGroup("a", { rate: 51, ceil: 90 })).toThrow(exhausted);
    all.limitGroup("a", null);
    all.change(0, 20);
    expect(() => all.change(0, 1)).toThrow(exhausted);
  });

  test("is not asked when something is adopted, restored or given back", () => {
    const all = new Guarantees(10);
    all.adopt(20);
    all.adopt(20, "a");
    all.restoreGroup("a", { rate: 5, ceil: 5 });
    all.change(20, 10, "a");
    expect(() => all.change(0, 1)).toThrow(exhausted);
    all.change(10, 0, "a");
    all.change(20, 0);
    all.restoreGroup("a", null);
    all.change(0, 10);
  });
});

describe("a group's ceil", () => {
  test("holds what its guests are guaranteed, whoever comes second", () => {
    const all = new Guarantees(1000);
    all.limitGroup("a", { rate: 10, ceil: 20 });
    all.change(0, 20, "a");
    expect(() => all.change(0, 1, "a")).toThrow(exhausted);
    expect(() => all.change(20, 21, "a")).toThrow(exhausted);
    expect(() => all.limitGroup("a", { rate: 10, ceil: 19 })).toThrow(exhausted);
    all.change(0, 20, "b");
    all.change(20, 5, "a");
    all.limitGroup("a", { rate: 5, ceil: 5 });
  });
});
