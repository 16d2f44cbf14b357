// The checked-in bytecode is what its C source compiles to, and generate.sh notices when it is not.
// Needs the clang that wrote it; with FORKNET_REQUIRE_KERNEL=1 (CI) its absence is a failure,
// elsewhere a skip.

import { spawnSync } from "node:child_process";
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const source = fileURLToPath(new URL("../../native/bpf", import.meta.url));
const EXIT_NO_CLANG = 77;
const COMPILE_TIMEOUT_MS = 60_000;

let copy = "";

beforeEach(() => {
  copy = mkdtempSync(join(tmpdir(), "forknet-bpf-"));
  cpSync(source, copy, { recursive: true });
});

afterEach(() => {
  rmSync(copy, { recursive: true, force: true });
});

function generate(directory: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync("bash", [join(directory, "generate.sh"), ...args], {
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

describe("with the clang that wrote the header", { timeout: COMPILE_TIMEOUT_MS }, () => {
  const first = generate(source, "--check");
  const isMissing = first.status === EXIT_NO_CLANG;
  const mustRun = process.env.FORKNET_REQUIRE_KERNEL === "1";
  if (isMissing && !mustRun) console.warn(`bpf-generated.test.ts: skipped, ${first.stderr.trim()}`);

  it.skipIf(isMissing && !mustRun)("the header is what the source compiles to", () => {
    expect(first).toEqual({ status: 0, stdout: "", stderr: "" });
  });

  it.skipIf(isMissing && !mustRun)("another rule in the source is noticed", () => {
    const program = join(copy, "judge.bpf.h");
    writeFileSync(program, readFileSync(program, "utf8").replace("ip->ihl < 5", "ip->ihl < 6"));
    expect(generate(copy, "--check")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("run native/bpf"),
    });
  });

  it.skipIf(isMissing && !mustRun)("the same source gives the same header in another place", () => {
    expect(generate(copy)).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(readFileSync(join(copy, "programs.generated.h"), "utf8")).toBe(
      readFileSync(join(source, "programs.generated.h"), "utf8"),
    );
  });

  it.skipIf(isMissing && !mustRun)("a source that does not compile leaves the header alone", () => {
    appendFileSync(join(copy, "guard.bpf.c"), "nonsense\n");
    expect(generate(copy).status).not.toBe(0);
    expect(readFileSync(join(copy, "programs.generated.h"), "utf8")).toBe(
      readFileSync(join(source, "programs.generated.h"), "utf8"),
    );
  });
});

describe("without it", () => {
  it("exits with 77 and names the version it wants", () => {
    const header = join(copy, "programs.generated.h");
    writeFileSync(
      header,
      readFileSync(header, "utf8").replace(/^\/\/ Compiler: .*$/m, "// Compiler: clang 1.2.3"),
    );
    expect(generate(copy, "--check")).toMatchObject({
      status: EXIT_NO_CLANG,
      stderr: expect.stringContaining("Expected clang 1.2.3"),
    });
  });
});

describe("extract.mjs", () => {
  it.each([
    [
      "something else than an object",
      "// not an ELF object, but longer than an ELF header has to be, all 64 bytes",
    ],
    ["nothing", ""],
  ])("refuses %s", (_, content) => {
    const object = join(copy, "guard.o");
    writeFileSync(object, content);
    const run = spawnSync(process.execPath, [join(copy, "extract.mjs"), object, "clang"], {
      encoding: "utf8",
    });
    expect(run).toMatchObject({ status: 1, stdout: "" });
  });
});
