// On which kernels uploads need a mirred, by the name of the release.

import { expect, test } from "vitest";
import { needsMirred } from "../../src/plans/programs.js";

test.each([
  ["5.15.0-91-generic", true],
  ["6.1.0-57-cloud-amd64", true],
  ["6.4.16", true],
  ["6.5.0", false],
  ["6.12.117+deb12-cloud-amd64", false],
  ["7.0-rc1", false],
])("Linux %s needs a mirred for uploads: %s", (release, isNeeded) => {
  expect(needsMirred(release)).toBe(isNeeded);
});
