// The commands around a network: help, completion, top, bench, and what is refused before anything
// is looked at.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { forknet, forknetJson } from "../support/cli.js";
import { openForTest } from "../support/network.js";
import { REQUEST } from "../support/requests.js";

const COMMANDS = [
  "status",
  "top",
  "inspect",
  "verify",
  "reconcile",
  "limits",
  "release",
  "destroy",
  "demo",
  "bench",
  "completion",
  "doctor",
];

describe("help", () => {
  it("tells all commands and the exit codes, each command its examples", async () => {
    const { code, stdout } = await forknet(["--help"]);
    expect(code).toBe(0);
    for (const name of COMMANDS) expect(stdout).toMatch(new RegExp(`^ {2}${name} `, "m"));
    for (const exit of [0, 1, 2, 3, 4, 5, 6])
      expect(stdout).toMatch(new RegExp(`^ {2}${exit} {2}`, "m"));
    const texts = await Promise.all(COMMANDS.map((name) => forknet([name, "--help"])));
    for (const text of texts) {
      expect(text.code).toBe(0);
      expect(text.stdout).toMatch(/Examples:\n {2}(sudo )?forknet /);
    }
  });

  it.each([
    [["frob"]],
    [["inspect"]],
    [["status", "--frob"]],
    [["status", "extra"]],
    [["status", "--interval", "-1"]],
    [["top", "--sort", "size"]],
    [["top", "--count", "0"]],
    [["bench", "--forks", "100000"]],
    [["completion", "tcsh"]],
  ])("is pointed to for %o, with exit code 2", async (args) => {
    const { code, stdout, stderr } = await forknet(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^error: .*\n.*--help/);
  });
});

describe("completion", () => {
  it.each(["bash", "zsh", "fish"])("for %s is a script that the shell reads", async (shell) => {
    expect(spawnSync(shell, ["-c", "true"]).status, `${shell} (npm run setup)`).toBe(0);
    const { code, stdout } = await forknet(["completion", shell]);
    expect(code).toBe(0);
    for (const name of COMMANDS) expect(stdout).toContain(name);
    // A file: fish does not read every kind of standard input.
    const path = join(mkdtempSync(join(tmpdir(), "forknet-completion-")), "script");
    onTestFinished(() => rmSync(dirname(path), { recursive: true }));
    writeFileSync(path, stdout);
    const read = spawnSync(shell, ["-n", path], { encoding: "utf8" });
    expect(read).toMatchObject({ status: 0, stderr: "" });
  });

  it("completes commands, options and the ids of guests", async () => {
    const network = await openForTest();
    await network.createAllocation(REQUEST);
    const { stdout } = await forknet(["completion", "bash"]);
    const { stdout: status } = await forknet(["status", "--interval", "0", "--json"]);
    const complete = (...words: string[]) => {
      // The command itself, as a shell would find it.
      const program = `forknet() { cat <<'JSON'\n${status}JSON\n}\n`;
      const line = `COMP_WORDS=(forknet ${words.join(" ")} "")\nCOMP_CWORD=${words.length + 1}`;
      const input = `${stdout}${program}${line}\n_forknet\nprintf '%s\\n' "\${COMPREPLY[@]}"\n`;
      return spawnSync("bash", [], { input, encoding: "utf8" }).stdout.trim().split("\n");
    };
    expect(complete()).toEqual(expect.arrayContaining(COMMANDS));
    expect(complete("release")).toEqual(expect.arrayContaining(["--bridge", "vm-1"]));
    expect(complete("status")).not.toContain("vm-1");
  });
});

describe("top", () => {
  it("prints an object a line where nobody looks, as often as asked", async () => {
    const network = await openForTest();
    await network.createAllocation(REQUEST);
    const args = ["top", "--json", "--count", "2", "--interval", "0.1", "--sort", "id"];
    const { code, stdout } = await forknet(args);
    expect(code).toBe(0);
    const frames = stdout.trimEnd().split("\n");
    expect(frames).toHaveLength(2);
    for (const frame of frames)
      expect(JSON.parse(frame)).toMatchObject({
        bridge: "vmbr0",
        guests: [{ instanceId: "vm-1", throughput: { download: 0, upload: 0 } }],
      });
    const text = await forknet(["top", "--count", "1", "--interval", "0.1"]);
    expect(text).toMatchObject({ code: 0, stderr: "" });
    expect(text.stdout).not.toContain("\x1b");
  });

  it("ends when there is no network", async () => {
    expect((await forknetJson(["top", "--count", "1"])).code).toBe(3);
  });
});

describe("bench", () => {
  it("measures forks in a namespace of its own", async () => {
    const { code, value } = await forknetJson(["bench", "--forks", "5", "--rounds", "2"]);
    expect(code).toBe(0);
    const times = { p50: expect.any(Number), p95: expect.any(Number), p99: expect.any(Number) };
    const row = { forks: 5, rounds: 2, usableMs: times, shapedMs: times, releasedMs: times };
    expect(value).toEqual({
      bench: [
        { slots: "warm", ...row },
        { slots: "cold", ...row },
      ],
    });
  });
});
