// The package on a system it does not run on: importing works, using it says why not, and nothing is made.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const ENTRY = new URL("../../dist/index.js", import.meta.url).href;

test("elsewhere than on Linux the import works and openNetwork refuses", () => {
  const stateDir = join(tmpdir(), `forknet-elsewhere-${process.pid}`);
  const program = `
    Object.defineProperty(process, "platform", { value: "darwin" });
    const { openNetwork } = await import(${JSON.stringify(ENTRY)});
    const options = { bridge: "br0", subnet: "10.0.0.0/24", stateDir: ${JSON.stringify(stateDir)} };
    await openNetwork(options).catch(({ code, message }) => console.log(code, message));
  `;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", program], {
    encoding: "utf8",
  });
  expect(output).toBe("ERR_FORKNET_UNSUPPORTED forknet runs on Linux only; this is darwin\n");
  expect(existsSync(stateDir)).toBe(false);
});
