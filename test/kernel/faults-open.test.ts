// Every kernel operation of opening, adopting and destroying a network is made to fail once. A
// network that does not open leaves the kernel and this process's files as they were, running
// guests included; a second try succeeds.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { ForknetError, type Network } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { loadAddon } from "../../src/kernel/addon.js";
import { ERRNO, Faults } from "../support/faults.js";
import { brokenInvariants } from "../support/invariants.js";
import { WITHOUT_KFUNCS } from "../support/judging.js";
import {
  compareKernelStates,
  type KernelState,
  readOpenFiles,
  settledDifference,
} from "../support/kernel-state.js";
import { readEverything } from "../support/network-state.js";
import { patiently } from "../support/patience.js";

const faults = new Faults();
const stateDir = mkdtempSync(join(tmpdir(), "forknet-faults-"));
const OPTIONS = { bridge: "vmbr0", subnet: "10.100.0.0/24", stateDir, pool: { size: 0 } };
const MOST_OPERATIONS = 250;
const SETTLE_MS = patiently(3000);
const LIMITS = new Map([["a", { download: 20e6, upload: { rate: 5e6, ceil: 20e6 } }]]);

const open = () => openWith(OPTIONS, { kernelModule: faults.module });
const withoutKfuncs = new URL("../support/faulty-no-kfuncs-kernel.mjs", import.meta.url).href;
/** Operations of a guard by helpers are tried on a link of our own first. */
const openByHelpers = () =>
  openWith({ ...OPTIONS, ...WITHOUT_KFUNCS }, { kernelModule: withoutKfuncs });

const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

/**
 * The whole namespace and the files of this process; a thread's own files close a little after it
 * ended.
 */
async function expectAsBefore(before: KernelState, what: string): Promise<void> {
  const difference = await settledDifference(
    before,
    () => [...readEverything(), ...ownFiles()],
    SETTLE_MS,
  );
  expect(difference, what).toEqual([]);
}

/** Without the ids of maps and programs: an adopting process loads its own. */
function ownFiles(): KernelState {
  return readOpenFiles().map((line) => line.replace(/ id \d+$/, ""));
}

afterEach(async () => {
  faults.none();
  const netlink = new (loadAddon().Netlink)();
  const isLeft = netlink.link({ name: OPTIONS.bridge }) !== undefined;
  netlink.close();
  if (isLeft) await (await open()).destroy();
});

afterAll(() => rmSync(stateDir, { recursive: true }));

/**
 * ENOMEM takes the same way through the plans as EPERM, but for maps looked up by id, where EPERM
 * is no failure.
 */
const INJECTIONS = [
  [
    "refused with EPERM",
    (at: number) => faults.refuse({ errno: ERRNO.EPERM, at }),
    "ERR_FORKNET_PERMISSION",
  ],
  ["whose answer is lost", (at: number) => faults.loseAnswer(at), "ERR_FORKNET_KERNEL"],
] as const;

describe.each(INJECTIONS)("an operation %s", (_, inject, code) => {
  test.each([
    ["", open],
    [" that tries the helpers first", openByHelpers],
  ])("fails a first open%s", async (__, openOnce) => {
    for (let at = 1; ; at++) {
      expect(at).toBeLessThan(MOST_OPERATIONS);
      const before = [...readEverything(), ...ownFiles()];
      inject(at);
      const opening = openOnce();
      const error = await failureOf(opening);
      const { failed, journal } = faults;
      faults.none();
      const operation = `operation ${at} (${journal[at - 1]})`;
      if (error === undefined) await (await opening).destroy();
      else {
        expect(error, operation).toBeInstanceOf(ForknetError);
        expect(error, operation).toMatchObject({ code, syscall: expect.any(String) });
      }
      await expectAsBefore(before, operation);
      if (failed === 0) break;
    }
  });

  test("leaves a running guest alone when it is adopted", async () => {
    let network = await open();
    await network.createAllocation({
      instanceId: "a",
      instanceName: "alpha",
      download: "20mbit",
      upload: "5mbit",
    });
    await network.createAllocation({ instanceId: "b", instanceName: "beta" });
    await network.standbyAllocation("b");
    for (let at = 1; ; at++) {
      expect(at).toBeLessThan(MOST_OPERATIONS);
      await network.close();
      const before = [...readEverything(), ...ownFiles()];
      inject(at);
      const opening = open();
      const error = await failureOf(opening);
      const { failed, journal } = faults;
      faults.none();
      const operation = `operation ${at} (${journal[at - 1]})`;
      if (error) await expectAsBefore(before, operation);
      network = error ? await open() : await opening;
      await network.getAllocation("a")?.shaped;
      expect(brokenInvariants(network, LIMITS), operation).toEqual([]);
      expect(network.listAllocations().map(({ state }) => state)).toEqual(["active", "standby"]);
      if (failed === 0) break;
    }
    await network.destroy();
  });

  test("fails a destroy that can be repeated", async () => {
    const before = readEverything();
    for (let at = 1; ; at++) {
      expect(at).toBeLessThan(MOST_OPERATIONS);
      const network: Network = await open();
      await network.createAllocation({ instanceId: "a", instanceName: "alpha" });
      inject(at);
      const error = await failureOf(network.destroy());
      const { failed, journal } = faults;
      faults.none();
      const operation = `operation ${at} (${journal[at - 1]})`;
      if (error) {
        expect(error, operation).toBeInstanceOf(ForknetError);
        // Closed, and adopted as it stands by the next process.
        await (await open()).destroy();
      }
      expect(compareKernelStates(before, readEverything()), operation).toEqual([]);
      if (failed === 0) break;
    }
  });
});
