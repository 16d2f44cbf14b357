// Runs every example as it stands, in this file's namespace; what each prints is what it shows.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const folder = fileURLToPath(new URL("../../examples/", import.meta.url));

/** By file: the whole output. */
const OUTPUTS: Record<string, RegExp> = {
  "clones.mjs":
    /^3 clones, inside 169\.254\.77\.2, outside 3 addresses\nnow inside 169\.254\.78\.2 169\.254\.77\.2 169\.254\.77\.2\n$/,
  "fork.mjs": /^10 usable, 10 addresses\n10 shaped\n0 left\n$/,
  "limits.mjs": /^team-a\nvm-1: \d+ bytes up, 0 dropped\nvm-2: \d+ bytes up, 0 dropped\n$/,
  "minimal.mjs":
    /^web-1: fk0a7b00[0-9a-f]{2} 02:00:0a:7b:00:[0-9a-f]{2} 10\.123\.0\.\d+\/24 via 10\.123\.0\.1\nlimits: shaped\n$/,
  "restart.mjs": /^adopted: vm-1 vm-2 vm-3\nrelease vm-3\n0 differences\n$/,
  "standby.mjs": /^standby, TAP ""\nactive, same IP true, same MAC true\n$/,
};

test("every example has its test", () => {
  const files = readdirSync(folder).filter((name) => name.endsWith(".mjs"));
  expect(files.sort()).toEqual(Object.keys(OUTPUTS));
});

test.each(Object.entries(OUTPUTS))("%s runs and shows what it says", (name, output) => {
  const stateDir = mkdtempSync(join(tmpdir(), "forknet-example-"));
  try {
    const printed = execFileSync(process.execPath, [join(folder, name)], {
      encoding: "utf8",
      env: { ...process.env, STATE_DIR: stateDir },
    });
    expect(printed).toMatch(output);
  } finally {
    rmSync(stateDir, { recursive: true });
  }
});
