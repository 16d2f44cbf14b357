// The comparison that fails a kernel test file: it must name what is new and what is gone, and
// count equal lines.

import { describe, expect, it } from "vitest";
import { compareKernelStates, readOpenFiles, settledDifference } from "../support/kernel-state.js";

describe("compareKernelStates", () => {
  it("is empty for equal states in any order", () => {
    expect(compareKernelStates(["a", "b"], ["b", "a"])).toEqual([]);
  });

  it("names what is new and what is gone, as often as it is", () => {
    expect(compareKernelStates(["fd pipe", "link lo"], ["fd pipe", "fd pipe", "fd pipe"])).toEqual([
      "+ fd pipe",
      "+ fd pipe",
      "- link lo",
    ]);
  });
});

describe("settledDifference", () => {
  it("waits for what closes late", async () => {
    const reads = [["fd socket"], ["fd socket"], []];
    expect(await settledDifference([], () => reads.shift() ?? [], 5000)).toEqual([]);
  });

  it("reports what stays", async () => {
    expect(await settledDifference([], () => ["fd socket"], 30)).toEqual(["+ fd socket"]);
  });
});

describe("readOpenFiles", () => {
  it("sees files without the numbers that differ from run to run", () => {
    const lines = readOpenFiles();
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.join("\n")).not.toMatch(/(?:socket|pipe):\[/);
  });
});
