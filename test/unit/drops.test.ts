// The names of the drop counters against the numbers in the C header that the programs count by.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { DROP_REASONS } from "../../src/lease/drops.js";

test("every reason has the name and the number it has in layout.h", () => {
  const header = readFileSync(new URL("../../native/bpf/layout.h", import.meta.url), "utf8");
  const [, body = ""] = /enum drop_reason \{([^}]*)\}/.exec(header) ?? [];
  const numbered = [...body.matchAll(/DROP_(\w+) = (\d+)/g)];
  expect(numbered.length).toBeGreaterThan(5);
  const names = numbered.map(([, name = ""]) => name.toLowerCase());
  expect(numbered.map(([, , number]) => Number(number))).toEqual([...names.keys()]);
  expect([...DROP_REASONS]).toEqual(names);
});
