// The short form of `npm run soak`: a few thousand guests come and go, and nothing grows.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { patiently } from "../support/patience.js";

const PROGRAM = fileURLToPath(new URL("../../soak/run.mjs", import.meta.url));
const LONGEST_MS = patiently(120_000);

test("3,000 guests leave nothing behind", { timeout: LONGEST_MS }, () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--expose-gc", PROGRAM, "--cycles", "3000"],
    { encoding: "utf8" },
  );
  expect(stderr).toBe("");
  expect(stdout).toContain("3000 cycles in ");
  expect(status).toBe(0);
});
