// Runs the README's example as a user would, in this file's namespace.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = new URL("../../", import.meta.url);

/** The first JavaScript block of the README. */
function example(): string {
  const block = /```js\n([\s\S]*?)```/.exec(readFileSync(new URL("README.md", root), "utf8"));
  return block?.[1] ?? "";
}

test("the README's example runs as it stands", () => {
  const folder = mkdtempSync(join(tmpdir(), "forknet-readme-"));
  try {
    const entry = JSON.stringify(new URL("dist/index.js", root).href);
    const stateDir = JSON.stringify(join(folder, "state"));
    // Where the package is installed and where its state goes differ here from a user's machine;
    // nothing else does.
    const program = example()
      .replace('"forknet"', entry)
      .replace('subnet: "10.100.0.0/16",', `subnet: "10.100.0.0/16", stateDir: ${stateDir},`)
      .replace("await network.close();", "await network.destroy();");
    const file = join(folder, "example.mjs");
    writeFileSync(file, program);
    const output = execFileSync(process.execPath, [file], { encoding: "utf8" });
    expect(output).toMatch(
      /^fk0a64[0-9a-f]{4} 10\.100\.\d+\.\d+ 02:00:0a:64(?::[0-9a-f]{2}){2} 10\.100\.0\.1\n$/,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
