// `forknet status` and `inspect` as processes: from the agent that holds the network, and from the
// kernel when there is none, when it hangs, and when it may not be asked.

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { NetworkOptions } from "../../dist/index.js";
import { Agent } from "../support/agent.js";
import { forknet, forknetJson } from "../support/cli.js";
import { SNAPSHOT } from "../support/clones.js";
import { destroyedAtEnd, openForTest, testOptions } from "../support/network.js";
import { REQUEST } from "../support/requests.js";

const NOBODY = [
  "setpriv",
  "--reuid=65534",
  "--clear-groups",
  "--bounding-set=-all",
  "--inh-caps=-all",
];
const ONCE = ["--interval", "0"];

const GUEST = {
  instanceId: "vm-1",
  instanceName: "alpha",
  ip: expect.stringMatching(/^10\.100\./) as string,
  mac: expect.stringMatching(/^02:00:0a:64:/) as string,
  tap: expect.stringMatching(/^fk/) as string,
  ifindex: expect.any(Number) as number,
  classId: expect.stringMatching(/^1:/) as string,
  state: "active",
  shaping: "shaped",
  limits: { download: 100e6, upload: { rate: 20e6, ceil: 80e6 } },
  createdMs: expect.any(Number) as number,
  group: null,
  owner: null,
  guest: null,
};
const COUNTERS = {
  bytes: expect.any(Number) as number,
  packets: expect.any(Number) as number,
  drops: 0,
  overlimits: 0,
  backlogBytes: 0,
};
const STANDBY = { ...GUEST, instanceId: "vm-2", instanceName: "beta", state: "standby" };

/** An agent with one guest at work and one in standby; taken down at the end. */
async function agentWithGuests(options: NetworkOptions): Promise<Agent> {
  destroyedAtEnd(options);
  const agent = new Agent();
  await agent.open(options);
  await agent.fork(REQUEST);
  await agent.fork({ ...REQUEST, instanceId: "vm-2", instanceName: "beta" });
  await agent.call("standbyAllocation", "vm-2");
  return agent;
}

describe("status", () => {
  it("tells all from the agent, wherever its state is", async () => {
    const options = testOptions();
    const agent = await agentWithGuests(options);
    const { code, value } = await forknetJson(["status", "--interval", "0.2"]);
    expect(code).toBe(0);
    expect(value).toEqual({
      bridge: "vmbr0",
      shaper: "fku0a640001",
      subnet: "10.100.0.0/16",
      gateway: "10.100.0.1",
      isolated: true,
      mtu: 1500,
      uploadCapacity: 100e9,
      stateDir: options.stateDir,
      source: "agent",
      holder: { pid: agent.pid, version: expect.any(String) as string },
      pool: { ready: 0, size: 0, making: 0 },
      lanes: { create: 0, shape: 0, reap: 0 },
      drops: expect.objectContaining({ mac: 0, unclassified: 0 }) as object,
      guests: [
        {
          ...GUEST,
          traffic: { download: COUNTERS, upload: COUNTERS, guardDrops: 0 },
          throughput: { download: 0, upload: 0 },
        },
        {
          ...STANDBY,
          tap: "",
          ifindex: 0,
          classId: "",
          shaping: "none",
          traffic: null,
          throughput: { download: null, upload: null },
        },
      ],
      readMs: expect.any(Number) as number,
      notes: [],
    });
  });

  it("tells from kernel and store what a killed agent left, and changes nothing", async () => {
    const options = testOptions();
    const agent = await agentWithGuests(options);
    const before = await forknetJson(["status", ...ONCE]);
    await agent.kill();
    const { code, value } = await forknetJson([
      "status",
      ...ONCE,
      "--state-dir",
      options.stateDir as string,
    ]);
    expect(code).toBe(0);
    expect(value).toMatchObject({ source: "kernel", holder: null, lanes: null });
    expect(value.notes).toEqual(["no process has the network on vmbr0 open"]);
    const alike = [
      "bridge",
      "shaper",
      "subnet",
      "gateway",
      "isolated",
      "mtu",
      "uploadCapacity",
      "drops",
    ];
    for (const key of [...alike, "guests"])
      expect([key, value[key]]).toEqual([key, before.value[key]]);
  });

  it("does not wait for an agent that hangs", async () => {
    const options = testOptions();
    const agent = await agentWithGuests(options);
    process.kill(agent.pid, "SIGSTOP");
    for (const place of [[], ["--state-dir", options.stateDir as string]]) {
      const { code, value } = await forknetJson(["status", ...ONCE, "--timeout", "0.3", ...place]);
      expect(code).toBe(0);
      expect(value).toMatchObject({ source: "kernel", holder: { pid: agent.pid, version: null } });
      expect(value.notes[0]).toMatch(/does not answer$/);
      expect(value.guests[0]).toMatchObject(GUEST);
    }
  });

  it("tells a user without privileges what the kernel shows", async () => {
    const options = testOptions();
    const agent = await agentWithGuests(options);
    const { code, value } = await forknetJson(["status", ...ONCE], { launcher: NOBODY });
    expect(code).toBe(0);
    expect(value).toMatchObject({ source: "kernel", holder: { pid: agent.pid }, drops: null });
    expect(value.notes.join("\n")).toMatch(/may not be used by this user/);
    expect(value.guests).toMatchObject([GUEST]);
  });

  it("asks which of several networks is meant, and finds none where there is none", async () => {
    expect(await forknetJson(["status"])).toMatchObject({
      code: 3,
      value: { error: { code: "ERR_FORKNET_NOT_FOUND" } },
    });
    await openForTest();
    const other = testOptions({ bridge: "vmbr1", subnet: "10.200.0.0/16" });
    await openForTest(other);
    const { code, value } = await forknetJson(["status"]);
    expect(code).toBe(2);
    expect(value.error.message).toContain("vmbr0, vmbr1");
    const named = await forknetJson(["status", ...ONCE, "-b", "vmbr1"]);
    expect(named).toMatchObject({ code: 0, value: { subnet: "10.200.0.0/16", source: "agent" } });
    const wrong = ["status", "-b", "vmbr0", "-d", other.stateDir as string];
    expect((await forknetJson(wrong)).value.error.message).toContain("vmbr1, not on vmbr0");
    const nowhere = ["status", ...ONCE, "-b", "vmbr1", "-d", join(other.stateDir as string, "no")];
    expect((await forknetJson(nowhere)).value).toMatchObject({ source: "kernel" });
  });

  it("is a table without colours when nobody looks", async () => {
    const network = await openForTest();
    await network.createAllocation(REQUEST);
    const { code, stdout, stderr } = await forknet(["status"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(
      /^network {2}vmbr0 {2}10\.100\.0\.0\/16, gateway 10\.100\.0\.1, isolated$/m,
    );
    expect(stdout).toMatch(
      /^vm-1 +alpha +10\.100\.\S+ +fk\w+ +active +shaped +100mbit +0 bit\/s /m,
    );
    expect(stdout).not.toContain("\x1b");
  });
});

describe("inspect", () => {
  it("tells all of one guest, and of an unknown one that it is not there", async () => {
    const network = await openForTest();
    await network.createAllocation(REQUEST);
    const { code, value } = await forknetJson(["inspect", "vm-1", ...ONCE]);
    expect(code).toBe(0);
    expect(value).toMatchObject({ ...GUEST, source: "agent", traffic: { upload: COUNTERS } });
    expect(await forknetJson(["inspect", "vm-9"])).toMatchObject({
      code: 3,
      value: { error: { code: "ERR_FORKNET_NOT_FOUND", message: "no allocation vm-9" } },
    });
    const text = await forknet(["inspect", "vm-1", ...ONCE]);
    expect(text.stdout).toMatch(/^download +limit 100mbit, now -$/m);
  });

  it("tells what a translated guest believes, with its agent and without", async () => {
    const options = testOptions({ translate: true });
    const network = await openForTest(options);
    await network.createAllocation({ ...REQUEST, guest: SNAPSHOT });
    const inspect = () => forknetJson(["inspect", "vm-1", ...ONCE]);
    expect(await inspect()).toMatchObject({ value: { guest: SNAPSHOT, source: "agent" } });
    const { stdout } = await forknet(["inspect", "vm-1", ...ONCE]);
    const { ip, mac, gateway, gatewayMac } = SNAPSHOT;
    expect(stdout).toContain(`\ninside    ${ip} ${mac}, gateway ${gateway} ${gatewayMac}\n`);
    await network.close();
    expect(await inspect()).toMatchObject({ value: { guest: SNAPSHOT, source: "kernel" } });
  });
});
