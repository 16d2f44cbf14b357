// Every kernel operation of every call is made to fail once: the call succeeds all the same, or it
// rejects with an error that names the operation, the kernel is as it was, and the network goes on
// working.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ForknetError, type Network } from "../../dist/index.js";
import { openWith } from "../../dist/open.js";
import { ERRNO, Faults } from "../support/faults.js";
import { brokenInvariants } from "../support/invariants.js";
import { compareKernelStates } from "../support/kernel-state.js";
import { readEverything } from "../support/network-state.js";

const faults = new Faults();
const stateDir = mkdtempSync(join(tmpdir(), "forknet-faults-"));
const REQUEST = { instanceId: "a", instanceName: "alpha", download: "20mbit", upload: "5mbit" };
/** More than any plan has: an endless loop here is a test that never reaches its end. */
const MOST_OPERATIONS = 60;
const FORGETS_FLOWS = "CT_DELETE";
/** The capacity class and the default class. */
const OWN_CLASSES = 2;

let network: Network;
let serial = 0;

beforeAll(async () => {
  network = await openWith(
    { bridge: "vmbr0", subnet: "10.100.0.0/20", stateDir, pool: { size: 0 } },
    { kernelModule: faults.module },
  );
});

afterAll(async () => {
  faults.none();
  await network.destroy();
  rmSync(stateDir, { recursive: true });
});

afterEach(async () => {
  faults.none();
  await Promise.all(
    network.listAllocations().map(({ instanceId }) => network.releaseAllocation(instanceId)),
  );
});

interface Scenario {
  name: string;
  prepare: () => Promise<unknown>;
  run: () => Promise<unknown>;
  clean: () => Promise<unknown>;
}

const release = () => network.releaseAllocation("a");
const create = (owner?: object) =>
  network.createAllocation({ ...REQUEST, ip: "10.100.0.77", ...owner });

/**
 * Keeps every class that is there busy with guests that stay, so that the next guest needs a new
 * one.
 */
async function occupyClasses(): Promise<void> {
  const isClass = (line: string) => /^class htb 1[0-9a-f]{4} /.test(line);
  const classes = readEverything().filter(isClass).length - OWN_CLASSES;
  while (network.listAllocations().length < classes) {
    const instanceId = `stays-${++serial}`;
    await network.createAllocation({ instanceId, instanceName: instanceId });
  }
}

const SCENARIOS: Scenario[] = [
  {
    name: "create with a class of the free list",
    prepare: async () => {
      await create();
      await release();
    },
    run: create,
    clean: release,
  },
  {
    name: "create with a new class",
    prepare: occupyClasses,
    run: create,
    clean: release,
  },
  {
    name: "create with an owner",
    prepare: async () => {
      await create();
      await release();
    },
    run: () => create({ owner: { uid: 7, gid: 8 } }),
    clean: release,
  },
  { name: "release", prepare: create, run: release, clean: release },
  {
    name: "updateLimits",
    prepare: create,
    run: () =>
      network.updateLimits("a", { download: "3mbit", upload: { rate: "1mbit", ceil: "2mbit" } }),
    clean: release,
  },
  { name: "standby", prepare: create, run: () => network.standbyAllocation("a"), clean: release },
  {
    name: "recreate",
    prepare: async () => {
      await create();
      await network.standbyAllocation("a");
    },
    run: () =>
      network.recreateAllocation("a", { download: "7mbit", tapName: "restored", owner: 7 }),
    clean: release,
  },
];

/** Runs the scenario with its n-th operation failing, for every n; returns how many there are. */
async function failEach(
  scenario: Scenario,
  inject: (at: number) => void,
  check: (error: unknown) => void,
) {
  for (let at = 1; at <= MOST_OPERATIONS; at++) {
    await scenario.prepare();
    const before = readEverything(network);
    inject(at);
    const error: unknown = await scenario.run().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    const { failed, journal } = faults;
    faults.none();
    const operation = `operation ${at} (${journal[at - 1]})`;
    if (error !== undefined) {
      check(error);
      const difference = compareKernelStates(before, readEverything(network));
      if (scenario.name !== "release") expect(difference, operation).toEqual([]);
      await scenario.run();
    }
    expect(brokenInvariants(network), operation).toEqual([]);
    await scenario.clean();
    expect(network.getAllocation("a"), operation).toBeUndefined();
    // Until then its address is out of use.
    if (journal[at - 1]?.startsWith(FORGETS_FLOWS)) await network.reconcile();
    expect(brokenInvariants(network), `${operation}, released`).toEqual([]);
    if (failed === 0) return at - 1;
  }
  throw new Error(`${scenario.name} has no end`);
}

describe.each(SCENARIOS)("$name", (scenario) => {
  test.each([
    ["EPERM", "ERR_FORKNET_PERMISSION"],
    ["ENOMEM", "ERR_FORKNET_KERNEL"],
  ] as const)("refused with %s", async (name, code) => {
    const operations = await failEach(
      scenario,
      (at) => faults.refuse({ errno: ERRNO[name], at }),
      (error) => {
        expect(error).toBeInstanceOf(ForknetError);
        expect(error).toMatchObject({
          code,
          errnoName: name,
          syscall: expect.stringMatching(/^(RTM_|TUN)/),
        });
      },
    );
    expect(operations).toBeGreaterThanOrEqual(2);
  });

  test("succeeds when EBUSY passes", async () => {
    await failEach(
      scenario,
      (at) => faults.refuse({ errno: ERRNO.EBUSY, at }),
      (error) => expect.fail(`not retried: ${String(error)}`),
    );
  });

  test("succeeds when an answer that found no room is asked for again", async () => {
    await failEach(
      scenario,
      (at) => faults.loseAnswer(at, ERRNO.ENOBUFS),
      (error) => expect.fail(`not retried: ${String(error)}`),
    );
  });

  test("whose answer is lost", async () => {
    await failEach(
      scenario,
      (at) => faults.loseAnswer(at),
      (error) =>
        expect(error).toMatchObject({ code: "ERR_FORKNET_KERNEL", errnoName: "ETIMEDOUT" }),
    );
  });
});
