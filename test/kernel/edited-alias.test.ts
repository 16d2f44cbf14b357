// Somebody changes aliases while no agent runs. A guest is whose its lease is, and goes on; its alias
// is written anew, and told. What nothing proves is left alone, told, and in nobody's way.

import { describe, expect, it, onTestFinished } from "vitest";
import type { Allocation, Network, NetworkOptions } from "../../dist/index.js";
import { Agent } from "../support/agent.js";
import { forknetJson } from "../support/cli.js";
import { published } from "../support/events.js";
import { brokenInvariants } from "../support/invariants.js";
import {
  deleteLink,
  fdbOf,
  indexOf,
  linkNamed,
  macNumber,
  readLeases,
  tellKernel,
  warmSlots,
} from "../support/kernel-view.js";
import {
  expectToSend,
  type LeftGuest,
  leaveGuests,
  OTHER,
  rename,
} from "../support/left-guests.js";
import {
  BRIDGE,
  destroyNetwork,
  openForTest,
  poolFilled,
  SHAPER,
  testOptions,
} from "../support/network.js";
import { REQUEST } from "../support/requests.js";
import { forgetSpans, onlySpan, recordTelemetry } from "../support/telemetry.js";

recordTelemetry();

/** The guest is the one it was, whatever its alias said. */
async function expectAdopted(network: Network, was: LeftGuest, found: string): Promise<void> {
  const guest = network.getAllocation("vm-1") as Allocation;
  const { ifindex, ip, mac, classId } = was;
  expect(guest).toMatchObject({ ifindex, ip, mac, classId, state: "active" });
  await guest.shaped;
  expect(linkNamed(guest.tap)?.alias).toMatch(/^forknet1 vm-1 alpha /);
  await expectToSend({ ...was, tap: guest.tap });
  expect(brokenInvariants(network)).toEqual([]);
  expect((await network.verify()).differences).toEqual([]);
  const told = { bridge: BRIDGE, subject: "vm-1", what: "alias", found };
  expect(drift).toMatchObject([told]);
  expect(repaired).toMatchObject([told]);
  expect(onlySpan("forknet.open").attributes).toMatchObject({
    "forknet.adopted": 2,
    "forknet.repaired": 1,
  });
}

let drift: object[];
let repaired: object[];

/** Opens it anew, and hears what that tells. */
async function openNext(options: NetworkOptions): Promise<Network> {
  drift = published("forknet:drift");
  repaired = published("forknet:repaired");
  forgetSpans();
  return openForTest(options);
}

describe("a live guest whose alias was changed", () => {
  const SLOT = "forknet1 /slot 10.100.9.9 02:00:0a:64:09:09 1:99";
  it.each([
    ["taken away", ""],
    ["made a person's own", "web server 3"],
    [
      "made another network's",
      "forknet1 x y 10.99.0.7 02:00:0a:63:00:07 1:10 down=max up=max at=1",
    ],
    ["made a slot's", SLOT],
    ["made that of a guest that never was", SLOT.replace("/slot", "vm-9 gamma")],
  ])("is adopted: %s", async (_, alias) => {
    const options = testOptions();
    const [was] = await leaveGuests(options);
    rename(was.ifindex, alias);
    await expectAdopted(await openNext(options), was, alias);
  });

  it("is adopted when it has the alias of the guest beside it, and that is, too", async () => {
    const options = testOptions();
    const [was, other] = await leaveGuests(options);
    const alias = linkNamed(other.tap)?.alias as string;
    rename(was.ifindex, alias);
    const network = await openNext(options);
    await expectAdopted(network, was, alias);
    expect(network.getAllocation("vm-2")).toMatchObject({ ifindex: other.ifindex });
    await expectToSend(other);
  });

  it.each<[string, (was: LeftGuest) => void]>([
    [
      "and whose TAP has another name",
      ({ ifindex }) =>
        tellKernel(
          { op: "link.set", ifindex, up: false },
          { op: "link.set", ifindex, name: "mine" },
          { op: "link.set", ifindex, up: true },
        ),
    ],
    [
      "and whose TAP was taken off the bridge",
      ({ ifindex }) => tellKernel({ op: "link.set", ifindex, master: 0 }),
    ],
    [
      "and whose TAP was put on another bridge",
      ({ ifindex }) => {
        tellKernel({ op: "link.create", name: "other0", kind: "bridge" });
        onTestFinished(() => deleteLink("other0"));
        tellKernel({ op: "link.set", ifindex, master: indexOf("other0") });
      },
    ],
    ["and whose shaper is gone", () => deleteLink(SHAPER)],
    ["and whose bridge is gone", () => deleteLink(BRIDGE)],
  ])("is adopted, %s", async (_, damage) => {
    const options = testOptions();
    const [was] = await leaveGuests(options);
    rename(was.ifindex, "web server 3");
    damage(was);
    await expectAdopted(await openNext(options), was, "web server 3");
  });

  it("is adopted when the alias was changed under an agent that then died", async () => {
    const options = testOptions();
    const agent = new Agent();
    await agent.open(options);
    const was = await agent.fork(REQUEST);
    await agent.fork(OTHER);
    rename(was.ifindex, "web server 3");
    await agent.kill();
    await expectAdopted(await openNext(options), was, "web server 3");
  });

  it("is shown, and its alias told, without an agent", async () => {
    const options = testOptions();
    const [was] = await leaveGuests(options);
    const shaperAlias = linkNamed(SHAPER)?.alias as string;
    rename(was.ifindex, "web server 3");
    rename(indexOf(SHAPER), "the shaper");
    const site = ["--bridge", BRIDGE, "--state-dir", options.stateDir as string];
    const status = await forknetJson(["status", ...site]);
    expect(status.value).toMatchObject({ source: "kernel", shaper: SHAPER });
    expect(status.value.guests).toMatchObject([
      { instanceId: "vm-1", tap: was.tap, state: "active" },
      { instanceId: "vm-2" },
    ]);
    const { value } = await forknetJson(["verify", ...site]);
    expect(value.differences).toMatchObject([
      { subject: "vm-1", what: "alias", found: "web server 3" },
    ]);
    rename(indexOf(SHAPER), shaperAlias);
  });
});

describe("a warm slot whose alias was changed", () => {
  it("is told and left alone, and no fork meets its name, its address or its MAC", async () => {
    const options = testOptions({ subnet: "10.100.0.0/29", pool: { size: 2 } });
    const agent = new Agent();
    await agent.open(options);
    await expect.poll(() => warmSlots(BRIDGE).length).toBe(2);
    await agent.call("reconcile", { dryRun: true });
    const [slot] = warmSlots(BRIDGE) as [string];
    const bound = fdbOf(BRIDGE, slot).find(({ state }) => state === 0x40)?.mac as number;
    await agent.kill();
    rename(indexOf(slot), "web server 3");
    const warnings = published("forknet:warning");
    const network = await openForTest({ ...options, pool: { size: 0 } });
    expect(warnings).toMatchObject([{ bridge: BRIDGE, what: "tap" }]);
    expect(warnings[0]?.text).toContain(slot);
    const { warnings: still } = await network.verify();
    expect(still).toMatchObject([{ subject: BRIDGE, what: "tap" }]);
    // Six addresses, of which the gateway has one, and the slot another.
    const forks = Array.from({ length: 4 }, (_, i) =>
      network.createAllocation({ instanceId: `${i}`, instanceName: `n${i}` }),
    );
    const guests = await Promise.all(forks);
    expect(guests.map(({ mac }) => macNumber(mac))).not.toContain(bound);
    await expect(network.createAllocation(REQUEST)).rejects.toMatchObject({
      code: "ERR_FORKNET_EXHAUSTED",
    });
    const before = linkNamed(slot);
    await network.reconcile({ keep: ["0", "1", "2", "3"] });
    expect(linkNamed(slot)).toEqual(before);
    // A person takes it away.
    deleteLink(slot);
    await network.reconcile();
    expect((await network.verify()).warnings).toEqual([]);
    expect(macNumber((await network.createAllocation(REQUEST)).mac)).toBe(bound);
    expect(brokenInvariants(network)).toEqual([]);
  });

  it("is its pool's all the same while the agent runs", async () => {
    const options = testOptions({ pool: { size: 1 } });
    const first = await openForTest(options);
    await poolFilled(first, 1);
    const [slot] = warmSlots(BRIDGE) as [string];
    rename(indexOf(slot), "web server 3");
    expect((await first.verify()).differences).toMatchObject([{ subject: slot, what: "alias" }]);
    expect((await first.verify()).warnings).toEqual([]);
    await first.close();
    expect(linkNamed(slot)).toBeUndefined();
  });
});

describe("two networks", () => {
  const SECOND = { bridge: "vmbr1", subnet: "10.101.0.0/16" };

  async function withSecond() {
    const options = [testOptions(), testOptions(SECOND)] as const;
    const second = await openForTest(options[1]);
    const guest = await second.createAllocation(REQUEST);
    return { options, second, guest };
  }

  it("a TAP of one on the bridge of the other is neither's to delete", async () => {
    const { options, second, guest } = await withSecond();
    await second.close();
    const { ifindex, tap } = guest;
    await openForTest(options[0]).then((first) => first.close());
    tellKernel({ op: "link.set", ifindex, master: indexOf(BRIDGE) });
    const first = await openForTest(options[0]);
    expect(first.listAllocations()).toEqual([]);
    await first.reconcile({ keep: [] });
    expect(linkNamed(tap)?.ifindex).toBe(ifindex);
    await first.close();
    // Its own network takes it back.
    const again = await openForTest(options[1]);
    expect(again.getAllocation("vm-1")).toMatchObject({ ifindex, state: "active" });
    expect(linkNamed(tap)?.master).toBe(indexOf(SECOND.bridge));
  });

  it("one whose shaper is gone does not take the other's leases for its own", async () => {
    const { options, guest } = await withSecond();
    tellKernel({ op: "link.set", ifindex: guest.ifindex, master: 0 });
    const before = readLeases("fku0a650001");
    const first = await openForTest(options[0]);
    expect(first.listAllocations()).toEqual([]);
    await destroyNetwork(first, options[0]);
    expect(readLeases("fku0a650001")).toEqual(before);
  });
});
