// The commands that change a network or read it back, as processes: through the agent that holds it,
// and opening it themselves when nobody does.

import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { Agent } from "../support/agent.js";
import { forknet, forknetJson } from "../support/cli.js";
import { compareKernelStates } from "../support/kernel-state.js";
import {
  classNamed,
  linkNamed,
  readNetworkLines,
  tbfOf,
  tellKernel,
} from "../support/kernel-view.js";
import { destroyedAtEnd, SHAPER, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";

const NOBODY = [
  "setpriv",
  "--reuid=65534",
  "--clear-groups",
  "--bounding-set=-all",
  "--inh-caps=-all",
];

/** Two guests and an agent; `left` are the options by which others find what it left. */
async function agentWithGuests() {
  const options = testOptions({ baseLimit: "3mbit", downloadLatencyMs: 70 });
  destroyedAtEnd(options);
  const agent = new Agent();
  await agent.open(options);
  const { tap, classId } = await agent.fork(REQUEST);
  await agent.fork({ instanceId: "vm-2", instanceName: "beta" });
  return { agent, options, tap, classId, left: ["-d", options.stateDir as string] };
}

function limitsOf(tap: string, classId: string) {
  const { rate = 0, ceil = 0 } = classNamed(SHAPER, classId) ?? {};
  return { download: (tbfOf(tap)?.rate ?? 0) * 8, rate: rate * 8, ceil: ceil * 8 };
}

const failure = (code: number, name: string, message: RegExp) => ({
  code,
  value: {
    error: {
      code: `ERR_FORKNET_${name}`,
      message: expect.stringMatching(message) as string,
    },
  },
});

describe("with an agent", () => {
  it("limits change in place, to unlimited and back", async () => {
    const { tap, classId } = await agentWithGuests();
    const both = ["--upload", "1mbit/2mbit", "--download", "5mbit"];
    const changed = await forknetJson(["limits", "vm-1", ...both]);
    expect(changed).toMatchObject({
      code: 0,
      value: { limits: { download: 5e6, upload: { rate: 1e6, ceil: 2e6 } }, shaping: "shaped" },
    });
    expect(limitsOf(tap, classId)).toEqual({ download: 5e6, rate: 1e6, ceil: 2e6 });
    await forknetJson(["limits", "vm-1", "--download", "max"]);
    expect(limitsOf(tap, classId)).toEqual({ download: 100e9, rate: 1e6, ceil: 2e6 });
    const { stdout } = await forknet(["limits", "vm-1", "--upload", "2mbit"]);
    expect(stdout).toBe("vm-1: download max, upload 2mbit/8mbit\n");
  });

  it("what makes no sense is refused with an exit code of its own, and changes nothing", async () => {
    await agentWithGuests();
    const before = readNetworkLines();
    const wrong = [
      [["limits", "vm-1"], 2, "CONFIG", /--download or --upload/],
      [["limits", "vm-1", "--upload", "10mbps"], 2, "CONFIG", /mbit/],
      [["limits", "vm-1", "--upload", "2mbit/1mbit"], 2, "CONFIG", /upload\.ceil/],
      [["limits", "vm-1", "--upload", "7bit"], 2, "CONFIG", /at least 8/],
      [["limits", "vm-1", "--upload", "99999999tbit"], 2, "CONFIG", /upload/],
      [["limits", "vm-1", "--upload", "2tbit"], 1, "EXHAUSTED", /uploadCapacity/],
      [["limits", "vm-9", "--upload", "2mbit"], 3, "NOT_FOUND", /vm-9/],
      [["release", "vm-9"], 3, "NOT_FOUND", /vm-9/],
      [["release", "vm 1"], 2, "CONFIG", /instanceId/],
      [["verify", "vm-9"], 3, "NOT_FOUND", /vm-9/],
      [["destroy"], 2, "CONFIG", /--yes/],
      [["destroy", "--yes", "-b", "vmbr9"], 3, "NOT_FOUND", /vmbr9/],
    ] as const;
    for (const [args, code, name, message] of wrong)
      expect(await forknetJson(args)).toMatchObject(failure(code, name, message));
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
  });

  it("is found out and put right what somebody broke", async () => {
    const { tap, classId } = await agentWithGuests();
    expect(await forknetJson(["verify"])).toMatchObject({
      code: 0,
      value: { compared: 2, differences: [], source: "agent" },
    });
    const { ifindex } = linkNamed(tap) as { ifindex: number };
    tellKernel({ op: "link.set", ifindex, up: false });
    const found = await forknetJson(["verify", "vm-1"]);
    expect(found.code).toBe(6);
    expect(found.value.differences).toMatchObject([{ subject: "vm-1" }]);
    const planned = await forknetJson(["reconcile", "--dry-run"]);
    expect(planned).toMatchObject({
      code: 0,
      value: { dryRun: true, actions: [{ action: "repair", subject: "vm-1" }] },
    });
    expect(linkNamed(tap)?.up).toBe(false);
    const { code, stdout } = await forknet(["reconcile"]);
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringMatching(/done\n/) });
    expect(linkNamed(tap)?.up).toBe(true);
    expect((await forknetJson(["verify"])).code).toBe(0);
    expect(classNamed(SHAPER, classId)).toBeDefined();
  });

  it("release and destroy take away what they should, and no more", async () => {
    const { agent, options, tap } = await agentWithGuests();
    expect(await forknetJson(["release", "vm-1"])).toEqual({
      code: 0,
      value: { released: "vm-1" },
    });
    expect(linkNamed(tap)).toBeUndefined();
    expect(await agent.call("getAllocation", "vm-2")).toMatchObject({ state: "active" });
    expect(await forknetJson(["destroy", "--yes"])).toEqual({
      code: 0,
      value: { destroyed: "vmbr0" },
    });
    expect(linkNamed("vmbr0")).toBeUndefined();
    expect(existsSync(join(options.stateDir as string, "options.json"))).toBe(false);
    await expect(agent.call("drops")).rejects.toMatchObject({ code: "ERR_FORKNET_CLOSED" });
  });

  it("nobody without privileges changes anything", async () => {
    await agentWithGuests();
    const before = readNetworkLines();
    const denied = failure(4, "PERMISSION", /may not be used by this user/);
    for (const args of [
      ["limits", "vm-1", "--upload", "1mbit"],
      ["release", "vm-1"],
      ["destroy", "--yes"],
      ["reconcile"],
    ])
      expect(await forknetJson(args, { launcher: NOBODY })).toMatchObject(denied);
    const read = await forknetJson(["verify"], { launcher: NOBODY });
    expect(read).toMatchObject({ code: 0, value: { compared: 2, source: "kernel" } });
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
  });

  it("that hangs is named, and nobody goes past it", async () => {
    const { agent, left } = await agentWithGuests();
    process.kill(agent.pid, "SIGSTOP");
    for (const place of [[], left]) {
      const { code, value } = await forknetJson(["release", "vm-1", "--timeout", "0.3", ...place]);
      expect(code).toBe(5);
      expect(value.error).toMatchObject({
        code: "ERR_FORKNET_CONFLICT",
        holderPid: agent.pid,
        message: expect.stringMatching(/does not answer/) as string,
      });
    }
    process.kill(agent.pid, "SIGCONT");
  });
});

describe("without an agent", () => {
  it("limits and release open the network as it was, and close it again", async () => {
    const { agent, tap, classId, left } = await agentWithGuests();
    await agent.kill();
    const before = readNetworkLines();
    const changed = await forknetJson(["limits", "vm-1", "--upload", "1mbit", ...left]);
    expect(changed).toMatchObject({ code: 0, value: { limits: { upload: { rate: 1e6 } } } });
    expect(limitsOf(tap, classId)).toEqual({ download: 100e6, rate: 1e6, ceil: 4e6 });
    // All else is as the agent's options made it, the unlimited guest's guarantee included.
    const isOther = (line: string) => !line.includes("vm-1");
    const after = readNetworkLines();
    expect(after.filter(isOther)).toEqual(before.filter(isOther));
    expect((await forknetJson(["release", "vm-1", ...left])).code).toBe(0);
    expect(linkNamed(tap)).toBeUndefined();
    expect((await forknetJson(["release", "vm-1", ...left])).code).toBe(3);
  });

  it("verify compares with the leases, and reconcile repairs", async () => {
    const { agent, tap, left } = await agentWithGuests();
    await agent.kill();
    const clean = await forknetJson(["verify", ...left]);
    expect(clean).toMatchObject({
      code: 0,
      value: { compared: 2, differences: [], source: "kernel", directPackets: null },
    });
    const { ifindex } = linkNamed(tap) as { ifindex: number };
    tellKernel({ op: "link.set", ifindex, up: false });
    expect(await forknetJson(["verify", "vm-1", ...left])).toMatchObject({
      code: 6,
      value: { differences: [{ subject: "vm-1", what: "link", expected: "up", found: "down" }] },
    });
    const refused = failure(5, "CONFLICT", /forknet verify/);
    expect(await forknetJson(["reconcile", "--dry-run", ...left])).toMatchObject(refused);
    expect(linkNamed(tap)?.up).toBe(false);
    expect((await forknetJson(["reconcile", ...left])).code).toBe(0);
    expect((await forknetJson(["verify", ...left])).code).toBe(0);
  });

  it("a directory may be named as it is seen from here", async () => {
    const { agent, options, tap } = await agentWithGuests();
    const seen = relative(process.cwd(), options.stateDir as string);
    expect((await forknetJson(["status", "-d", seen])).value.source).toBe("agent");
    await agent.kill();
    expect((await forknetJson(["release", "vm-1", "-d", seen])).code).toBe(0);
    expect(linkNamed(tap)).toBeUndefined();
  });

  it("destroy leaves nothing", async () => {
    const { agent, left } = await agentWithGuests();
    await agent.kill();
    expect((await forknetJson(["destroy", "--yes", ...left])).code).toBe(0);
    expect(linkNamed("vmbr0")).toBeUndefined();
    expect(linkNamed(SHAPER)).toBeUndefined();
  });

  it("nobody guesses how the network was opened", async () => {
    const { agent, options, left } = await agentWithGuests();
    await agent.kill();
    const before = readNetworkLines();
    const args = ["release", "vm-1"];
    const unknown = failure(3, "NOT_FOUND", /--state-dir/);
    const nowhere = ["-d", join(options.stateDir as string, "no")];
    expect(await forknetJson([...args, ...nowhere])).toMatchObject(unknown);
    const kept = join(options.stateDir as string, "options.json");
    writeFileSync(kept, '{"bridge":"vmbr1"}');
    expect(await forknetJson([...args, ...left])).toMatchObject(
      failure(5, "CONFLICT", /vmbr1, not on vmbr0/),
    );
    writeFileSync(kept, "{");
    expect(await forknetJson([...args, ...left])).toMatchObject(unknown);
    rmSync(kept);
    expect(await forknetJson([...args, ...left])).toMatchObject(unknown);
    expect(compareKernelStates(before, readNetworkLines())).toEqual([]);
  });
});
