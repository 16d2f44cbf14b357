// updateGuest when the kernel refuses, and when the process dies half way. The lease map is written
// by a system call of the main thread, which has no answer that could be lost; the alias that
// follows is a message, whose answer may be. Either way the former identity holds: in the map, in
// the alias, in the allocation, and for what passes.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Allocation, type Network, openNetwork } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import type { Guest } from "../../dist/stand-in/guest.js";
import { Agent, without } from "../support/agent.js";
import { forkClones, isRefused, reaches, SNAPSHOT, wake } from "../support/clones.js";
import { ERRNO, Faults, refuseLease } from "../support/faults.js";
import { compareKernelStates } from "../support/kernel-state.js";
import { linkNamed, tellKernel } from "../support/kernel-view.js";
import { destroyNetwork, testOptions } from "../support/network.js";
import { readEverything } from "../support/network-state.js";

const ID = "clone-0";
const OTHER = {
  ip: "169.254.9.2",
  mac: "06:00:00:00:00:99",
  gateway: "169.254.9.1",
  gatewayMac: "06:00:00:00:00:98",
};
const ALWAYS = 1_000_000;
const ALIAS = "RTM_NEWLINK alias";
const CHANGES = [
  { what: "another identity", wish: OTHER },
  { what: "its own address", wish: null },
];

const faults = new Faults();
let options: ReturnType<typeof testOptions>;
let network: Network;
let allocation: Allocation;
let guest: Guest;

beforeEach(async () => {
  faults.none();
  options = testOptions({ translate: true });
  network = await openWith(options, { kernelModule: faults.module });
  [allocation] = (await forkClones(network, 1)) as [Allocation];
  guest = await wake(allocation);
});

afterEach(async () => {
  faults.none();
  vi.restoreAllMocks();
  await guest.stop();
  await destroyNetwork(network, options);
});

async function expectUnchanged(change: () => Promise<void>, error: object): Promise<void> {
  const before = readEverything(network);
  await expect(change()).rejects.toMatchObject(error);
  faults.none();
  expect(compareKernelStates(before, readEverything(network))).toEqual([]);
  expect(allocation.guest).toEqual(SNAPSHOT);
  expect(await reaches(guest, allocation)).toBe(true);
  expect((await network.verify()).differences).toEqual([]);
}

describe.each(CHANGES)("a guest that takes $what", ({ wish }) => {
  const change = () => network.updateGuest(ID, wish);

  it.each([
    ["ENOMEM", "ERR_FORKNET_KERNEL"],
    ["EPERM", "ERR_FORKNET_PERMISSION"],
  ] as const)("keeps its former identity when the map refuses with %s", async (errnoName, code) => {
    refuseLease(ERRNO[errnoName]);
    const syscall = "BPF_MAP_UPDATE_ELEM";
    const errno = -ERRNO[errnoName];
    await expectUnchanged(change, { code, errnoName, errno, syscall });
    await change();
    expect(allocation.guest).toEqual(wish ?? undefined);
    expect(await isRefused(guest, allocation, network)).toBe(true);
  });

  it.each([
    ["ENOMEM", "ERR_FORKNET_KERNEL"],
    ["EPERM", "ERR_FORKNET_PERMISSION"],
  ] as const)("keeps it when the alias is refused with %s", async (errnoName, code) => {
    faults.refuse({ errno: ERRNO[errnoName], at: 1, match: ALIAS });
    const device = allocation.tap;
    await expectUnchanged(change, { code, errnoName, syscall: "RTM_NEWLINK", device });
  });

  it.each(["ETIMEDOUT", "EMSGSIZE"] as const)(
    "keeps it when the alias was written, but the answer is lost (%s)",
    async (errnoName) => {
      faults.loseAnswer(1, ERRNO[errnoName]);
      await expectUnchanged(change, { code: "ERR_FORKNET_KERNEL", errnoName });
    },
  );

  it.each(["EBUSY", "ENOBUFS"] as const)("takes it when %s passes", async (errnoName) => {
    faults.refuse({ errno: ERRNO[errnoName], at: 1, match: ALIAS });
    await change();
    expect(allocation.guest).toEqual(wish ?? undefined);
    expect((await network.verify()).differences).toEqual([]);
  });
});

describe("an undo that fails, too", () => {
  it("is ROLLBACK and names the alias; the guest goes on as before", async () => {
    faults.refuse({ errno: ERRNO.EPERM, at: 1, times: ALWAYS, match: ALIAS });
    await expectUnchanged(() => network.updateGuest(ID, OTHER), {
      code: "ERR_FORKNET_ROLLBACK",
      cause: { code: "ERR_FORKNET_PERMISSION", errnoName: "EPERM" },
      leftBehind: [`alias of ${allocation.tap}`],
    });
  });

  it("is ROLLBACK and names the identity, which is what the map has; reconcile does the rest", async () => {
    refuseLease(ERRNO.ENOMEM, 2);
    faults.refuse({ errno: ERRNO.EPERM, at: 1, match: ALIAS });
    await expect(network.updateGuest(ID, OTHER)).rejects.toMatchObject({
      code: "ERR_FORKNET_ROLLBACK",
      leftBehind: [`guest identity of ${allocation.tap}`],
    });
    faults.none();
    expect(allocation.guest).toEqual(OTHER);
    expect(await isRefused(guest, allocation, network)).toBe(true);
    expect((await network.verify()).differences).toMatchObject([{ subject: ID, what: "alias" }]);
    await network.reconcile();
    expect((await network.verify()).differences).toEqual([]);
  });
});

describe("when the process dies between map and alias", () => {
  let written: string | undefined;

  beforeEach(async () => {
    const former = linkNamed(allocation.tap)?.alias as string;
    await network.updateGuest(ID, OTHER);
    written = linkNamed(allocation.tap)?.alias;
    await network.close();
    tellKernel({ op: "link.set", ifindex: allocation.ifindex, alias: former });
  });

  it("the next one writes the alias", async () => {
    network = await openNetwork(options);
    const adopted = network.getAllocation(ID);
    await adopted?.shaped;
    expect(adopted?.guest).toEqual(OTHER);
    expect(linkNamed(allocation.tap)?.alias).toBe(written);
    expect((await network.verify()).differences).toEqual([]);
  });

  it("one that may not open the map takes the guest for what it was", async () => {
    const agent = new Agent(without("sys_admin"));
    expect(await agent.open(options)).toMatchObject([{ instanceId: ID, guest: SNAPSHOT }]);
    expect(await reaches(guest, allocation)).toBe(true);
    expect(await agent.call("verify")).toMatchObject({ compared: 1, differences: [] });
    await agent.call("close");
  });
});
