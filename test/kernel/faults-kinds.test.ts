// What particular refusals become: an undo that fails, too, a kernel without HTB, a full bridge, a
// busy kernel, a lease that cannot be written, a warm slot that cannot be made or shaped.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Network, NetworkOptions } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { published } from "../support/events.js";
import { ERRNO, type Fault, Faults, refuseLease } from "../support/faults.js";
import { brokenInvariants } from "../support/invariants.js";
import { compareKernelStates, type KernelState } from "../support/kernel-state.js";
import { readLeases } from "../support/kernel-view.js";
import { SHAPER } from "../support/network.js";
import { readEverything } from "../support/network-state.js";

const ALWAYS = 1_000_000;
const REQUEST = { instanceId: "a", instanceName: "alpha", download: "20mbit", upload: "5mbit" };

const faults = new Faults();
let before: KernelState;
let stateDir: string;
let network: Network | undefined;

async function open(options: Partial<NetworkOptions> = {}): Promise<Network> {
  const given = {
    bridge: "vmbr0",
    subnet: "10.100.0.0/24",
    stateDir,
    pool: { size: 0 },
    ...options,
  };
  network = await openWith(given, { kernelModule: faults.module });
  return network;
}

beforeEach(() => {
  faults.none();
  before = readEverything();
  stateDir = mkdtempSync(join(tmpdir(), "forknet-faults-"));
});

afterEach(async () => {
  faults.none();
  vi.restoreAllMocks();
  await network?.destroy();
  network = undefined;
  rmSync(stateDir, { recursive: true });
  // Whatever a failed undo left goes with the network at the latest.
  expect(compareKernelStates(before, readEverything())).toEqual([]);
});

const refuseAlways = (fault: Omit<Fault, "at">) =>
  faults.refuse({ at: 1, times: ALWAYS, ...fault });

describe("an undo that fails, too", () => {
  test("is ROLLBACK, tells what is left, and keeps the identity out of use", async () => {
    const open_ = await open();
    // The 14th operation sets the TAP up; after it come the three of the undo.
    faults.refuse({ errno: ERRNO.ENOMEM, at: 14, times: ALWAYS });
    const failing = open_.createAllocation({ ...REQUEST, ip: "10.100.0.77" });
    await expect(failing).rejects.toMatchObject({
      code: "ERR_FORKNET_ROLLBACK",
      errnoName: "ENOMEM",
      syscall: "RTM_NEWLINK",
      leftBehind: ["neighbour entry on vmbr0", "class on fku0a640001", "TAP fk0a64004d"],
    });
    faults.none();
    expect(open_.listAllocations()).toEqual([]);
    await expect(open_.createAllocation({ ...REQUEST, ip: "10.100.0.77" })).rejects.toMatchObject({
      code: "ERR_FORKNET_ADDRESS_IN_USE",
    });
    // Another fork gets another address and another class.
    await open_.createAllocation(REQUEST);
    await open_.reconcile();
    await open_.releaseAllocation("a");
  });

  test("of a deletion leaves the guest's TAP as one that still can be deleted", async () => {
    const open_ = await open();
    await open_.createAllocation(REQUEST);
    refuseAlways({ errno: ERRNO.EPERM });
    await expect(open_.standbyAllocation("a")).rejects.toMatchObject({
      code: "ERR_FORKNET_ROLLBACK",
    });
    await expect(open_.releaseAllocation("a")).rejects.toMatchObject({
      code: "ERR_FORKNET_ROLLBACK",
    });
    faults.none();
    await open_.releaseAllocation("a");
    expect(brokenInvariants(open_)).toEqual([]);
  });

  test("of a change of limits is told, and the next change writes everything anew", async () => {
    const open_ = await open();
    await open_.createAllocation(REQUEST);
    // The class is refused, and so is the class on the way back.
    refuseAlways({ errno: ERRNO.EPERM, match: "RTM_NEWTCLASS" });
    const failing = open_.updateLimits("a", { download: "50mbit" });
    await expect(failing).rejects.toMatchObject({
      code: "ERR_FORKNET_ROLLBACK",
      leftBehind: [expect.stringMatching(/^limits of fk/)],
    });
    expect(open_.getAllocation("a")?.shaping).toBe("failed");
    faults.none();
    await open_.updateLimits("a", { download: "30mbit" });
    const limits = new Map([["a", { download: 30e6, upload: { rate: 5e6, ceil: 20e6 } }]]);
    expect(brokenInvariants(open_, limits)).toEqual([]);
  });
});

test.each([
  ["HTB", "RTM_NEWQDISC htb", "Specified qdisc kind is unknown"],
  ["the BPF classifier", "RTM_NEWTFILTER", "TC classifier not found"],
])("a kernel without %s is named, and nothing is left", async (_, match, text) => {
  refuseAlways({ errno: ERRNO.ENOENT, match, text });
  await expect(open()).rejects.toMatchObject({
    code: "ERR_FORKNET_UNSUPPORTED",
    kernelMessage: text,
    syscall: match.split(" ")[0],
  });
  faults.none();
});

test("a kernel without TBF is named by the fork, and nothing is left", async () => {
  const open_ = await open();
  const state = readEverything(open_);
  refuseAlways({
    errno: ERRNO.ENOENT,
    match: "RTM_NEWQDISC tbf",
    text: "Specified qdisc kind is unknown",
  });
  await expect(open_.createAllocation(REQUEST)).rejects.toMatchObject({
    code: "ERR_FORKNET_UNSUPPORTED",
  });
  expect(compareKernelStates(state, readEverything(open_))).toEqual([]);
});

test("a full bridge is EXHAUSTED and says how many ports it has", async () => {
  const open_ = await open();
  const state = readEverything(open_);
  refuseAlways({ errno: ERRNO.EXFULL, match: "RTM_NEWLINK master" });
  const full = {
    code: "ERR_FORKNET_EXHAUSTED",
    message: "bridge vmbr0 is full (1023 ports)",
    errnoName: "EXFULL",
  };
  await expect(open_.createAllocation(REQUEST)).rejects.toMatchObject(full);
  expect(compareKernelStates(state, readEverything(open_))).toEqual([]);
});

test.each(["RTM_NEWLINK up", "TUNSETIFF", "RTM_NEWTCLASS"])(
  "a kernel that stays busy at %s is given up",
  async (match) => {
    const open_ = await open();
    const state = readEverything(open_);
    refuseAlways({ errno: ERRNO.EBUSY, match });
    await expect(open_.createAllocation(REQUEST)).rejects.toMatchObject({
      code: "ERR_FORKNET_KERNEL",
      errnoName: "EBUSY",
    });
    expect(faults.failed).toBe(6);
    expect(compareKernelStates(state, readEverything(open_))).toEqual([]);
  },
);

describe("a lease that cannot be written", () => {
  const refusal = {
    code: "ERR_FORKNET_KERNEL",
    errnoName: "ENOMEM",
    syscall: "BPF_MAP_UPDATE_ELEM",
  };

  test("fails a cold fork, and its TAP is gone", async () => {
    const open_ = await open();
    await open_.createAllocation(REQUEST);
    await open_.releaseAllocation("a");
    const state = readEverything(open_);
    refuseLease(ERRNO.ENOMEM);
    await expect(open_.createAllocation(REQUEST)).rejects.toMatchObject(refusal);
    expect(compareKernelStates(state, readEverything(open_))).toEqual([]);
    await open_.createAllocation(REQUEST);
  });

  test("is ROLLBACK when the TAP cannot be deleted either", async () => {
    const open_ = await open();
    refuseLease(ERRNO.ENOMEM);
    refuseAlways({ errno: ERRNO.EPERM, match: "RTM_DELLINK" });
    const failing = open_.createAllocation(REQUEST);
    await expect(failing).rejects.toMatchObject({
      code: "ERR_FORKNET_ROLLBACK",
      leftBehind: [expect.stringMatching(/^TAP fk/)],
    });
    faults.none();
    const { actions } = await open_.reconcile();
    expect(actions.map(({ action }) => action)).toEqual([
      "delete_tap",
      "delete_class",
      "delete_neighbor",
      "free_identity",
    ]);
    await open_.createAllocation(REQUEST);
    expect(brokenInvariants(open_)).toEqual([]);
  });

  test("fails a warm fork, and its slot is gone", async () => {
    const open_ = await open({ pool: { size: 1 } });
    await expect.poll(slots).toBe(1);
    await open_.reconcile({ dryRun: true });
    refuseLease(ERRNO.ENOMEM);
    await expect(open_.createAllocation(REQUEST)).rejects.toMatchObject(refusal);
    expect(open_.listAllocations()).toEqual([]);
    await expect.poll(() => brokenInvariants(open_, new Map(), 1)).toEqual([]);
  });

  test("fails a change of limits, which then hold as before", async () => {
    const open_ = await open();
    await open_.createAllocation(REQUEST);
    const state = readEverything(open_);
    refuseLease(ERRNO.ENOMEM);
    await expect(open_.updateLimits("a", { download: "50mbit" })).rejects.toMatchObject(refusal);
    expect(compareKernelStates(state, readEverything(open_))).toEqual([]);
  });
});

function slots(): number {
  return readEverything().filter(
    (line) => line.startsWith("link ") && line.includes('"forknet1 /slot '),
  ).length;
}

describe("a warm slot", () => {
  test("that cannot be made is told of, and made later", async () => {
    const heard = published("forknet:pool-failed");
    refuseAlways({ errno: ERRNO.EPERM, match: "TUNSETIFF" });
    const open_ = await open({ pool: { size: 2 } });
    await expect.poll(() => faults.failed).toBeGreaterThanOrEqual(4);
    expect(heard).toMatchObject([{ bridge: "vmbr0", error: { code: "ERR_FORKNET_PERMISSION" } }]);
    expect(brokenInvariants(open_)).toEqual([]);
    faults.none();
    await expect.poll(slots).toBe(2);
  });

  test("whose limits are refused fails loudly, stays at the base limits, and can be shaped later", async () => {
    const open_ = await open({ pool: { size: 1 }, unshaped: "block" });
    await expect.poll(slots).toBe(1);
    await open_.reconcile({ dryRun: true });
    refuseAlways({ errno: ERRNO.EPERM, match: "RTM_NEWTCLASS" });
    const allocation = await open_.createAllocation(REQUEST);
    await expect(allocation.shaped).rejects.toMatchObject({
      code: expect.stringMatching(/PERMISSION|ROLLBACK/),
    });
    expect(allocation).toMatchObject({ state: "active", shaping: "failed" });
    faults.none();
    expect(readLeases(SHAPER).get(allocation.ifindex)?.blocked).toBe(true);
    await open_.updateLimits("a", { download: "20mbit", upload: "5mbit" });
    expect(allocation.shaping).toBe("shaped");
    expect(readLeases(SHAPER).get(allocation.ifindex)?.blocked).toBe(false);
    await expect.poll(() => brokenInvariants(open_, new Map(), 1)).toEqual([]);
  });
});
