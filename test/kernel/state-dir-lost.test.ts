// The state directory of a running agent that somebody removes, replaces or hides: no guest is lost.

import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { NetworkOptions } from "../../dist/index.js";
import { Agent } from "../support/agent.js";
import { forknetJson } from "../support/cli.js";
import { published } from "../support/events.js";
import { linkNamed } from "../support/kernel-view.js";
import { destroyedAtEnd, openForTest, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";

const SECOND = { instanceId: "vm-2", instanceName: "beta" };

describe("under a running agent", () => {
  /** One guest in standby, another one active. */
  async function agentWithStandby() {
    const options = testOptions() as NetworkOptions & { stateDir: string };
    destroyedAtEnd(options);
    const agent = new Agent(["unshare", "--mount"]);
    await agent.open(options);
    const { ip } = await agent.fork(REQUEST);
    const second = await agent.fork(SECOND);
    await agent.call("standbyAllocation", "vm-1");
    return { agent, options, ip, second };
  }

  const inNamespaceOf = (agent: Agent, ...command: string[]) =>
    execFileSync("nsenter", ["--target", String(agent.pid), "--mount", ...command]);

  /** What the next process finds after this one was killed. */
  async function expectBothInStandby(agent: Agent, options: NetworkOptions, ips: string[]) {
    await agent.kill();
    const network = await openForTest(options);
    const guests = ["vm-1", "vm-2"].map((id) => network.getAllocation(id));
    expect(guests.map((guest) => [guest?.state, guest?.ip])).toEqual(
      ips.map((ip) => ["standby", ip]),
    );
    expect(network.storeDamage).toEqual([]);
    expect((await network.recreateAllocation("vm-1")).state).toBe("active");
  }

  const removals: [string, (stateDir: string) => void][] = [
    ["the directory is removed", (path) => rmSync(path, { recursive: true })],
    ["the file is removed", (path) => rmSync(join(path, "standby.leases"))],
    ["the file is moved", (path) => renameSync(join(path, "standby.leases"), join(path, "x"))],
    [
      "the file is replaced",
      (path) => {
        rmSync(join(path, "standby.leases"));
        writeFileSync(join(path, "standby.leases"), "somebody's");
      },
    ],
  ];
  it.each(removals)("%s: the next standby keeps all guests", async (_, remove) => {
    const { agent, options, ip, second } = await agentWithStandby();
    remove(options.stateDir);
    await agent.call("standbyAllocation", "vm-2");
    expect(linkNamed(second.tap)).toBeUndefined();
    // An operator finds the agent as before.
    const { value } = await forknetJson(["status", "--interval", "0", "-d", options.stateDir]);
    expect(value).toMatchObject({ source: "agent", holder: { pid: agent.pid } });
    await expectBothInStandby(agent, options, [ip, second.ip]);
  });

  it("the removal of the directory is told", async () => {
    const told = published("forknet:store-damaged");
    const options = testOptions() as NetworkOptions & { stateDir: string };
    const network = await openForTest(options);
    await network.createAllocation(REQUEST);
    rmSync(options.stateDir, { recursive: true });
    await network.standbyAllocation("vm-1");
    expect(told).toMatchObject([{ bridge: "vmbr0", movedTo: "" }]);
    expect(network.storeDamage).toMatchObject([{ reason: expect.stringContaining("removed") }]);
  });

  it("a mount over the directory refuses a standby, and the guest stays until it is gone", async () => {
    const { agent, options, ip, second } = await agentWithStandby();
    inNamespaceOf(agent, "mount", "-t", "tmpfs", "-o", "mode=700", "none", options.stateDir);
    for (let i = 0; i < 2; i++)
      await expect(agent.call("standbyAllocation", "vm-2")).rejects.toMatchObject({
        code: "ERR_FORKNET_KERNEL",
        errnoName: "ESTALE",
        message: expect.stringContaining(options.stateDir) as string,
      });
    await expect(agent.call("setGroupLimits", "a", { upload: "1mbit" })).rejects.toMatchObject({
      errnoName: "ESTALE",
    });
    expect(linkNamed(second.tap)).toMatchObject({ ifindex: second.ifindex, up: true });
    expect(await agent.call("getAllocation", "vm-2")).toMatchObject({ state: "active" });
    expect(await agent.call("verify")).toMatchObject({ differences: [] });
    expect(readdirSync(`/proc/${agent.pid}/root${options.stateDir}`)).toEqual([]);
    inNamespaceOf(agent, "umount", options.stateDir);
    await agent.call("standbyAllocation", "vm-2");
    await expectBothInStandby(agent, options, [ip, second.ip]);
  });

  it("another directory in its place refuses a standby and is not written", async () => {
    const { agent, options, ip, second } = await agentWithStandby();
    const away = `${options.stateDir}-away`;
    renameSync(options.stateDir, away);
    mkdirSync(options.stateDir, { mode: 0o700 });
    await expect(agent.call("standbyAllocation", "vm-2")).rejects.toMatchObject({
      errnoName: "ESTALE",
    });
    expect(readdirSync(options.stateDir)).toEqual([]);
    rmSync(options.stateDir, { recursive: true });
    renameSync(away, options.stateDir);
    await agent.call("standbyAllocation", "vm-2");
    await expectBothInStandby(agent, options, [ip, second.ip]);
  });
});
