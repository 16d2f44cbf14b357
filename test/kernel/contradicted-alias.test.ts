// Somebody changes aliases while no agent runs, and the next may not read the lease map: an alias counts
// as far as nothing that the kernel holds of its TAP contradicts it. The rest is told and left alone.

import { describe, expect, it, onTestFinished } from "vitest";
import type { VerifyReport } from "../../dist/index.js";
import type { ClassInfo } from "../../src/kernel/binding.js";
import { Agent, without } from "../support/agent.js";
import {
  classNamed,
  deleteLink,
  fdbOf,
  indexOf,
  ipNumber,
  linkNamed,
  neighborsOf,
  tellKernel,
  withNetlink,
} from "../support/kernel-view.js";
import {
  expectToSend,
  GATEWAY_MAC,
  type LeftGuest,
  leaveGuests,
  OTHER,
  rename,
} from "../support/left-guests.js";
import { BRIDGE, SHAPER, testOptions } from "../support/network.js";
import { RawTap } from "../support/raw-tap.js";

const INGRESS = 0xfffffff2;

describe("without CAP_SYS_ADMIN, when aliases are all that can be read", () => {
  it("a copied alias is whose the bridge says; the other TAP is told, and left alone", async () => {
    const options = testOptions();
    const [was, other] = await leaveGuests(options);
    rename(other.ifindex, linkNamed(was.tap)?.alias as string);
    const before = linkNamed(other.tap);
    const agent = new Agent(without("sys_admin"));
    expect(await agent.open(options)).toMatchObject([{ instanceId: "vm-1", ifindex: was.ifindex }]);
    const report = (await agent.call("reconcile", { keep: ["vm-1"] })) as { actions: unknown[] };
    expect(report.actions).toEqual([]);
    expect(linkNamed(other.tap)).toEqual(before);
    expect(await agent.call("verify")).toMatchObject({ warnings: [{ what: "tap" }] });
    await expect(agent.fork({ ...OTHER, ip: other.ip })).rejects.toMatchObject({
      code: "ERR_FORKNET_ADDRESS_IN_USE",
    });
    await expectToSend(was);
    deleteLink(other.tap);
    await agent.call("reconcile");
    await agent.fork({ ...OTHER, ip: other.ip });
    await agent.call("destroy");
  });

  /** What a TAP that nobody may touch keeps: its link, entries, programs, and all classes. */
  function untouched({ tap, ip }: LeftGuest): object {
    return {
      link: linkNamed(tap),
      bound: fdbOf(BRIDGE, tap),
      neighbor: neighborsOf(BRIDGE).filter((one) => one.ip === ipNumber(ip)),
      programs: withNetlink((netlink) =>
        netlink.filters(indexOf(tap), INGRESS).map(({ bpf }) => bpf?.programId),
      ),
      capacity: limitsOf("1:1"),
    };
  }

  function limitsOf(classId: string): object {
    const { rate, ceil, parent } = classNamed(SHAPER, classId) as ClassInfo;
    return { rate, ceil, parent };
  }

  type Edit = (own: string, others: string, was: LeftGuest, other: LeftGuest) => [string, string?];
  const GROUPED = { ...OTHER, group: "team" };

  it.each<[string, Edit, string[]]>([
    ["two aliases exchanged", (own, others) => [others, own], []],
    [
      "the other's id with an address of nobody",
      (_, others, __, other) => [
        others.replace(other.ip, "10.100.0.7").replace(other.mac, "02:00:0a:64:00:07"),
      ],
      ["vm-2"],
    ],
    ["the other's id alone", (own) => [own.replace("vm-1", "vm-2")], []],
    ["the other's name alone", (own) => [own.replace("alpha", "beta")], []],
    ["an address of nobody", (own, _, { ip }) => [own.replace(ip, "10.100.0.250")], ["vm-2"]],
    ["the other's address", (own, _, { ip }, other) => [own.replace(ip, other.ip)], ["vm-2"]],
    ["the gateway's address", (own, _, { ip }) => [own.replace(ip, "10.100.0.1")], ["vm-2"]],
    ["the other's MAC", (own, _, { mac }, other) => [own.replace(mac, other.mac)], ["vm-2"]],
    ["a MAC of nobody", (own, _, { mac }) => [own.replace(mac, "02:00:0a:64:00:fa")], ["vm-2"]],
    ["the gateway's MAC", (own, _, { mac }) => [own.replace(mac, GATEWAY_MAC)], ["vm-2"]],
    ["the capacity's class", (own) => [own.replace(/ 1:[0-9a-f]+ /, " 1:1 ")], ["vm-2"]],
    ["a class beyond all", (own) => [own.replace(/ 1:[0-9a-f]+ /, " 1:3fff ")], ["vm-2"]],
    [
      "a group's class",
      (own, _, __, { classId }) => {
        const minor = (classNamed(SHAPER, classId)?.parent ?? 0) & 0xffff;
        return [own.replace(/ 1:[0-9a-f]+ /, ` 1:${minor.toString(16)} `)];
      },
      ["vm-2"],
    ],
    [
      "the other's class",
      (own, _, { classId }, other) => [own.replace(classId, other.classId)],
      [],
    ],
    [
      "a slot's",
      (_, __, { ip, mac, classId }) => [`forknet1 /slot ${ip} ${mac} ${classId}`],
      ["vm-2"],
    ],
    ["a text that nobody can read", () => ["forknet1 web server 3"], ["vm-2"]],
  ])("left as it is, and told, with %s", async (_, edit, adopted) => {
    const options = testOptions({ pool: { size: 0 } });
    const guests = await leaveGuests(options, GROUPED);
    const machines = guests.map(({ tap }) => new RawTap({ tap }));
    onTestFinished(() => {
      for (const machine of machines) machine.close();
    });
    const former = guests.map(({ tap }) => linkNamed(tap)?.alias as string);
    edit(former[0] as string, former[1] as string, ...guests).forEach((alias, i) => {
      rename(guests[i]?.ifindex as number, alias as string);
    });
    const doubtful = guests.filter((_, i) => !adopted.includes(`vm-${i + 1}`));
    const before = doubtful.map(untouched);

    const agent = new Agent(without("sys_admin"));
    const found = await agent.open(options);
    expect(found.map(({ instanceId }) => instanceId)).toEqual(adopted);
    const [, { ip, mac, ifindex, classId }] = guests;
    if (adopted.length > 0) expect(found).toMatchObject([{ ip, mac, ifindex, classId }]);
    expect(await agent.call("reconcile", { keep: adopted })).toMatchObject({ actions: [] });
    const { differences, warnings } = (await agent.call("verify")) as VerifyReport;
    expect(differences).toEqual([]);
    const told = warnings.map(({ text }) => text);
    expect(told).toHaveLength(doubtful.length);
    for (const { tap } of doubtful)
      expect(told).toContainEqual(expect.stringContaining(`ip link set dev ${tap} alias`));
    for (const guest of doubtful) {
      const wish = { instanceId: "vm-3", instanceName: "gamma", ip: guest.ip };
      await expect(agent.fork(wish)).rejects.toMatchObject({ code: "ERR_FORKNET_ADDRESS_IN_USE" });
    }
    const next = await agent.fork({ instanceId: "vm-3", instanceName: "gamma" });
    expect(guests.map((guest) => guest.classId)).not.toContain(next.classId);
    expect(doubtful.map(untouched)).toEqual(before);
    await agent.call("releaseAllocation", "vm-3");
    await agent.kill();

    // A person does what the warning says.
    for (const [i, guest] of guests.entries()) rename(guest.ifindex, former[i] as string);
    const again = new Agent(without("sys_admin"));
    expect(await again.open(options)).toMatchObject(
      guests.map(({ tap: _tap, ...identity }) => identity),
    );
    await again.kill();
  });

  it("what was left alone is left by an agent that may read the map, too", async () => {
    const options = testOptions({ pool: { size: 0 } });
    const [was, other] = await leaveGuests(options);
    const former = linkNamed(was.tap)?.alias as string;
    rename(was.ifindex, linkNamed(other.tap)?.alias as string);
    const agent = new Agent(without("sys_admin"));
    await agent.open(options);
    await agent.kill();
    rename(was.ifindex, former);
    const before = untouched(was);
    const next = new Agent();
    expect(await next.open(options)).toMatchObject([{ instanceId: "vm-2" }]);
    await next.call("reconcile");
    expect(untouched(was)).toEqual(before);
    await next.kill();
  });

  it.each<[string, (was: LeftGuest) => void]>([
    ["its bridge is gone", () => deleteLink(BRIDGE)],
    [
      "it was taken off its bridge",
      ({ ifindex }) => tellKernel({ op: "link.set", ifindex, master: 0 }),
    ],
  ])("a guest whose machine runs is adopted when %s", async (_, damage) => {
    const options = testOptions({ pool: { size: 0 } });
    const guests = await leaveGuests(options);
    const machines = guests.map(({ tap }) => new RawTap({ tap }));
    onTestFinished(() => {
      for (const machine of machines) machine.close();
    });
    damage(guests[0]);
    const agent = new Agent(without("sys_admin"));
    expect(await agent.open(options)).toMatchObject(
      guests.map(({ tap: _tap, ...identity }) => identity),
    );
    for (const machine of machines) machine.close();
    for (const guest of guests) await expectToSend(guest);
  });
});
