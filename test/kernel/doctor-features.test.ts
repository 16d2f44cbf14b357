// The doctor on kernels that lack something, in processes that lack a privilege, and on hosts
// without a device or a command: as an operator runs it.

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Diagnosis } from "../../dist/doctor/doctor.js";
import { checkFeatures } from "../../dist/doctor/features.js";
import { findingOf } from "../support/diagnosis.js";
import { HELPERS_WORK } from "../support/judging.js";

const CLI = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const LACKING = fileURLToPath(new URL("../support/lacking-kernel.mjs", import.meta.url));

function run(launcher: readonly string[], ...args: string[]) {
  const [command, ...rest] = [...launcher, process.execPath, CLI, "doctor", ...args];
  return spawnSync(command as string, rest, { encoding: "utf8" });
}

function diagnosisOf(launcher: readonly string[]): { status: number | null; diagnosis: Diagnosis } {
  const { status, stdout } = run(launcher, "--json");
  return { status, diagnosis: JSON.parse(stdout) as Diagnosis };
}

function without(...capabilities: string[]): string[] {
  const dropped = capabilities.map((capability) => `-${capability}`).join(",");
  return ["setpriv", `--bounding-set=${dropped}`, `--inh-caps=${dropped}`];
}

function mounted(mount: string): string[] {
  return ["unshare", "--mount", "sh", "-c", `${mount} && exec "$@"`, "sh"];
}

describe("a kernel without a feature", () => {
  it.each([
    ["bridge", "feature.bridge", "modprobe bridge"],
    ["tun", "feature.tun", "modprobe tun"],
    ["multiQueue", "feature.tun", "modprobe tun"],
    ["port.set", "feature.port-isolation", "modprobe bridge"],
    ["ifb", "feature.ifb", "modprobe ifb"],
    ["qdisc.htb", "feature.htb", "modprobe sch_htb"],
    ["qdisc.blackhole", "feature.blackhole", "modprobe sch_blackhole"],
    ["qdisc.bfifo", "feature.bfifo", "modprobe sch_fifo"],
    ["qdisc.tbf", "feature.tbf", "modprobe sch_tbf"],
    ["qdisc.clsact", "feature.clsact", "modprobe sch_ingress"],
    ["bpf", "feature.bpf-programs", "CONFIG_BPF_SYSCALL"],
    ["leave for bpf", "feature.bpf-programs", "SystemCallFilter="],
    ["kfuncs and helpers", "feature.pending-checksums", "CONFIG_DEBUG_INFO_BTF"],
    ["filter.bpf", "feature.cls_bpf", "modprobe cls_bpf"],
    ["mirred", "feature.mirred", "modprobe act_mirred"],
  ])("%s: %s is a problem, the only one, and %s mends it", (what, check, remedy) => {
    const findings = checkFeatures([LACKING, what]);
    expect(findingOf({ findings }, check)).toMatchObject({
      severity: "problem",
      mend: [expect.stringContaining(remedy) as string],
    });
    expect(findings.filter(({ severity }) => severity === "problem")).toHaveLength(1);
  });

  it("kfuncs are not missed where helpers work", () => {
    const findings = checkFeatures([LACKING, "kfuncs"]);
    const severity = HELPERS_WORK ? "ok" : "problem";
    expect(findingOf({ findings }, "feature.pending-checksums")).toMatchObject({ severity });
  });

  it("fq_codel is not missed", () => {
    const findings = checkFeatures([LACKING, "qdisc.fq_codel"]);
    expect(findingOf({ findings }, "feature.fq_codel")).toMatchObject({
      severity: "ok",
      found: expect.stringContaining("not there") as string,
    });
  });
});

describe("exit code 1, and by name,", () => {
  it.each([
    ["CAP_NET_ADMIN", without("net_admin"), "capability.net-admin", /lacks CAP_NET_ADMIN/],
    [
      "a user namespace",
      ["unshare", "--user", "--map-root-user"],
      "capability.user-namespace",
      /in a user namespace/,
    ],
    ["CAP_BPF", without("bpf", "sys_admin"), "capability.bpf", /lacks CAP_BPF/],
    ["a missing /dev/net/tun", mounted("mount -t tmpfs none /dev/net"), "device.tun", /is missing/],
    [
      "a forbidden /dev/net/tun",
      mounted("mount -t tmpfs -o nodev none /dev/net && mknod /dev/net/tun c 10 200"),
      "device.tun",
      /does not open: EACCES/,
    ],
  ])("%s", (_, launcher, check, found) => {
    const { status, diagnosis } = diagnosisOf(launcher);
    expect(status).toBe(1);
    expect(findingOf(diagnosis, check)).toMatchObject({
      severity: "problem",
      found: expect.stringMatching(found) as string,
    });
    expect(findingOf(diagnosis, check).mend).not.toEqual([]);
    // One cause is one problem, not one for each feature that needs it.
    expect(diagnosis.counts.problem).toBeLessThanOrEqual(2);
  });
});

describe("exit code 0, and a warning,", () => {
  it.each([
    ["without CAP_SYS_ADMIN nothing is probed", without("sys_admin"), "feature", /no leave/],
    [
      "without CAP_PERFMON helpers have to do",
      without("sys_admin", "perfmon"),
      "capability.perfmon",
      /lacks CAP_PERFMON/,
    ],
    [
      "without nft there is no NAT",
      mounted("mount -t tmpfs none /usr/sbin"),
      "feature.nftables",
      /not installed/,
    ],
  ])("%s", (_, launcher, check, found) => {
    const { status, diagnosis } = diagnosisOf(launcher);
    expect(status).toBe(0);
    expect(findingOf(diagnosis, check)).toMatchObject({
      severity: "warning",
      found: expect.stringMatching(found) as string,
    });
  });
});

it("no namespace to probe in is a warning", () => {
  // A limit of a user namespace of its own: the machine's is not touched.
  const script = 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"';
  const limited = ["unshare", "--user", "--map-root-user", "sh", "-ec", script, "sh"];
  const probe = fileURLToPath(new URL("../../dist/doctor/probe-process.js", import.meta.url));
  const [command, ...args] = [...limited, process.execPath, probe];
  const { stdout } = spawnSync(command as string, args, { encoding: "utf8" });
  expect(JSON.parse(stdout)).toMatchObject({ refused: { errno: 28 } });
  const findings = checkFeatures(["-e", `process.stdout.write(${JSON.stringify(stdout)})`]);
  expect(findings).toMatchObject([
    { check: "feature", severity: "warning", mend: ["sysctl -w user.max_net_namespaces=1024"] },
  ]);
});

it("a package whose addon is not built says how to build it", () => {
  const root = mkdtempSync(join(tmpdir(), "forknet-unbuilt-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const own = fileURLToPath(new URL("../..", import.meta.url));
  cpSync(join(own, "dist"), join(root, "dist"), { recursive: true });
  for (const name of ["package.json", "node_modules"])
    symlinkSync(join(own, name), join(root, name));
  const program = join(root, "dist", "cli", "main.js");
  const { status, stdout } = spawnSync(process.execPath, [program, "doctor", "--json"], {
    encoding: "utf8",
  });
  expect(status).toBe(1);
  expect(findingOf(JSON.parse(stdout) as Diagnosis, "addon")).toMatchObject({
    severity: "problem",
    mend: ["npm rebuild forknet"],
  });
});

it.each(["", "a b", "a/b", "sixteen-letters."])("a bridge cannot be called %o", (bridge) => {
  const { status, stdout } = run([], "--json", "--bridge", bridge);
  expect(status).toBe(2);
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: "ERR_FORKNET_CONFIG" } });
});

it("prints text without colours where there is no terminal, the worst first", () => {
  const { stdout, stderr } = run(without("net_admin"));
  expect(stdout).not.toContain("\x1b");
  expect(stdout).toMatch(/^problem {2}capability\.net-admin .*\n +why: .*\n +mend: /);
  expect(stdout).toMatch(/\n\d+ problems, \d+ warnings, \d+ ok\n$/);
  expect(stderr).toBe("");
});
