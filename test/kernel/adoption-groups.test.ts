// What becomes of a group whose agent was killed: half way through a move, without the capability to
// find the lease map, and with its limits gone from the disk.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Allocation, Network } from "../../dist/index.js";
import { Agent } from "../support/agent.js";
import { classNamed, indexOf, tellKernel, warmSlots } from "../support/kernel-view.js";
import { BRIDGE, openForTest, SHAPER, testOptions } from "../support/network.js";

const A = { instanceId: "a", instanceName: "alpha", group: "team-a", upload: "2mbit" };
const LIMITS = { upload: { rate: "10mbit", ceil: "20mbit" } };
const WITHOUT_SYS_ADMIN = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];

function expectUnderGroup(network: Network, { classId }: Allocation): void {
  const [group] = network.listGroups();
  expect(group).toMatchObject({ name: "team-a", upload: { rate: 10e6, ceil: 20e6 } });
  const inner = classNamed(SHAPER, group?.classId ?? "");
  expect(inner).toMatchObject({ rate: 10e6 / 8, ceil: 20e6 / 8 });
  expect(classNamed(SHAPER, classId)).toMatchObject({ parent: inner?.handle, rate: 2e6 / 8 });
}

it("a guest that was armed and not moved yet is moved by the next agent", async () => {
  const options = testOptions({ pool: { size: 2 } });
  const agent = new Agent();
  await agent.open(options);
  await agent.call("setGroupLimits", "team-a", LIMITS);
  await expect.poll(() => warmSlots(BRIDGE).length).toBe(2);
  await agent.call("reconcile", { dryRun: true });
  await agent.forkAndDie(A);
  const network = await openForTest({ ...options, pool: { size: 0 } });
  const guest = network.getAllocation("a") as Allocation;
  expect([guest.state, guest.group]).toEqual(["active", "team-a"]);
  await guest.shaped;
  expectUnderGroup(network, guest);
  expect((await network.verify()).differences).toEqual([]);
});

it("the alias is enough where the map cannot be found", async () => {
  const options = testOptions();
  const agent = new Agent();
  await agent.open(options);
  await agent.call("setGroupLimits", "team-a", LIMITS);
  const { classId } = await agent.fork(A);
  await agent.kill();
  const next = new Agent(WITHOUT_SYS_ADMIN);
  expect(await next.open(options)).toMatchObject([
    { instanceId: "a", group: "team-a", classId, shaping: "shaped" },
  ]);
  await next.call("close");
  const network = await openForTest(options);
  expectUnderGroup(network, network.getAllocation("a") as Allocation);
});

it("limits that are in the kernel only go on, and what stands under no group goes", async () => {
  const options = testOptions();
  const agent = new Agent();
  await agent.open(options);
  await agent.call("setGroupLimits", "team-a", LIMITS);
  const { classId } = await agent.fork(A);
  await agent.fork({ ...A, instanceId: "b", instanceName: "beta", group: "team-b" });
  const [, other] = (await agent.call("listGroups")) as { classId: string }[];
  const [gone] = ((await agent.call("listAllocations")) as Allocation[]).filter(
    ({ group }) => group === "team-b",
  );
  await agent.kill();
  rmSync(join(options.stateDir as string, "groups"));
  tellKernel({ op: "link.delete", ifindex: indexOf(gone?.tap ?? "") });
  const network = await openForTest(options);
  expect(network.getAllocation("a")).toMatchObject({ classId, shaping: "shaped" });
  expectUnderGroup(network, network.getAllocation("a") as Allocation);
  for (const id of [other?.classId, gone?.classId])
    await expect.poll(() => classNamed(SHAPER, id ?? "")).toBeUndefined();
  expect(network.listGroups().map(({ name }) => name)).toEqual(["team-a"]);
});
