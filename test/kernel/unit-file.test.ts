// The systemd unit of integration/: an agent that runs with just what it grants can do everything,
// and with one capability less it cannot. Needs systemd's tools and strace, not a running systemd.

import { spawnSync } from "node:child_process";
import { chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { Agent } from "../support/agent.js";
import { SNAPSHOT } from "../support/clones.js";
import { HELPERS_WORK } from "../support/judging.js";
import { compareKernelStates } from "../support/kernel-state.js";
import { readNetworkLines } from "../support/kernel-view.js";
import { testOptions } from "../support/network.js";
import { patiently } from "../support/patience.js";
import { REQUEST } from "../support/requests.js";
import { allowedCalls, asUnit, UNIT, unitWords } from "../support/unit-file.js";

const NOBODY = 65_534;

/** A directory of the unit's user, for its state and a trace. */
function makeHome(): string {
  const home = mkdtempSync(join(tmpdir(), "forknet-unit-"));
  chownSync(home, NOBODY, NOBODY);
  onTestFinished(() => rmSync(home, { recursive: true, force: true }));
  return home;
}

function optionsIn(home: string) {
  return testOptions({
    stateDir: join(home, "state"),
    pool: { size: 2 },
    nat: { enableForwarding: true },
  });
}

/** A whole life: open, fork, change, rest, restore, verify, close, adopt, release, destroy. */
async function live(agent: Agent, home: string): Promise<void> {
  const options = optionsIn(home);
  await agent.open(options);
  const { ip } = await agent.fork(REQUEST);
  await agent.call("updateLimits", "vm-1", { download: "8mbit", upload: "1mbit" });
  await agent.call("standbyAllocation", "vm-1");
  await agent.call("recreateAllocation", "vm-1");
  expect(await agent.call("verify")).toMatchObject({ compared: 1, differences: [] });
  expect(await agent.call("reconcile")).toMatchObject({ actions: [], remaining: 0 });
  await agent.call("close");
  expect(await agent.open(options)).toMatchObject([{ instanceId: "vm-1", ip, state: "active" }]);
  await agent.call("releaseAllocation", "vm-1");
  await agent.call("destroy");
}

it("is one that systemd understands", () => {
  const text = readFileSync(UNIT, "utf8").replace("/opt/agent/agent.js", "/dev/null");
  const copy = join(makeHome(), "forknet-agent.service");
  writeFileSync(copy, text.replace("User=forknet-agent", "User=daemon"));
  const { status, stdout, stderr } = spawnSync("systemd-analyze", ["verify", copy], {
    encoding: "utf8",
  });
  expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: "" });
});

it("grants all that an agent needs for every call, NAT included", async () => {
  const before = readNetworkLines();
  const home = makeHome();
  await live(new Agent(asUnit(home)), home);
  expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
});

it("grants all that a network needs that translates, also without CAP_PERFMON", async () => {
  const home = makeHome();
  for (const lacking of HELPERS_WORK ? [undefined, "CAP_PERFMON"] : [undefined]) {
    const agent = new Agent(asUnit(home, lacking));
    await agent.open({ ...optionsIn(home), translate: true });
    await agent.fork({ ...REQUEST, guest: SNAPSHOT });
    // A guest that is being shaped is not compared.
    await expect
      .poll(() => agent.call("verify"), { timeout: patiently(10_000) })
      .toMatchObject({ compared: 1, differences: [] });
    await agent.call("destroy");
  }
});

/** CAP_PERFMON has a substitute, where helpers work. */
const NEEDED = unitWords("AmbientCapabilities").filter((name) => name !== "CAP_PERFMON");

it.runIf(HELPERS_WORK)(
  "a whole life goes on without CAP_PERFMON where helpers tell what it would",
  async () => {
    const before = readNetworkLines();
    const home = makeHome();
    await live(new Agent(asUnit(home, "CAP_PERFMON")), home);
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
  },
);

it.each(NEEDED)("grants nothing that is not needed: %s", async (name) => {
  const before = readNetworkLines();
  const home = makeHome();
  const agent = new Agent(asUnit(home, name));
  await expect(agent.open(optionsIn(home))).rejects.toMatchObject({
    code: "ERR_FORKNET_PERMISSION",
    message: expect.stringContaining(name) as string,
  });
  expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
});

it("allows every system call and every kind of socket that an agent uses", async () => {
  const home = makeHome();
  const trace = join(home, "trace");
  // The tracer is not the agent's parent (-D), which is the one that is killed.
  const agent = new Agent([...asUnit(home), "strace", "-D", "-f", "-qqq", "-o", trace]);
  await live(agent, home);
  await agent.kill();
  await expect.poll(() => readFileSync(trace, "utf8")).toMatch(/\+\+\+ killed by SIGKILL/);
  const lines = readFileSync(trace, "utf8").split("\n");
  const calls = new Set(lines.flatMap((line) => /^\d+ +(\w+)\(/.exec(line)?.[1] ?? []));
  // What a life without these would prove is little.
  expect([...calls]).toEqual(expect.arrayContaining(["bpf", "ioctl", "sendmsg", "execve"]));
  const allowed = allowedCalls();
  expect([...calls].filter((call) => !allowed.has(call))).toEqual([]);
  const families = new Set(lines.flatMap((line) => /socket\((AF_\w+)/.exec(line)?.[1] ?? []));
  expect([...families]).toEqual(expect.arrayContaining(["AF_NETLINK", "AF_UNIX"]));
  const kept = new Set(unitWords("RestrictAddressFamilies"));
  expect([...families].filter((family) => !kept.has(family))).toEqual([]);
});
