// The way of limits into the kernel, with a lane whose worker answers on demand: what overtakes,
// what is cancelled, what a guest says of itself meanwhile.

import diagnostics from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ForknetError } from "../../src/errors.js";
import type { Groups } from "../../src/groups/groups.js";
import { ClassSwitch } from "../../src/guests/class-switch.js";
import { allocationFacts, Guest } from "../../src/guests/guest.js";
import { Shaping } from "../../src/guests/shaping.js";
import { Identities } from "../../src/identity/identities.js";
import { parseSubnet } from "../../src/identity/ipv4.js";
import type { Late } from "../../src/lanes/late.js";
import type { LeaseTable } from "../../src/lease/lease-table.js";
import { type Limits, toKernelLimits } from "../../src/limits.js";
import type { ShapeJob } from "../../src/plans/shape.js";
import type { Metrics } from "../../src/telemetry/metrics.js";
import { LaneWorker, ok, refused, settled } from "../support/lane-worker.js";
import { FACTS } from "../support/recording-kernel.js";

const DEFAULTS = {
  uploadBurstMultiplier: 4,
  downloadBurstMultiplier: 4,
  downloadLatencyMs: 50,
  uploadLatencyMs: 50,
  mtu: 1500,
  baseLimit: 10e6,
};
const [EPERM, EBUSY] = [1, 16] as const;
const SUBNET = parseSubnet("10.100.0.0/16", undefined);
const limits = (download: number): Limits => ({ download, upload: null });
const kernelLimits = (download: number) => toKernelLimits(limits(download), DEFAULTS);
const BASE = kernelLimits(10e6);
const ended = new ForknetError("ERR_FORKNET_ABORTED", "instance a was released");

let worker: LaneWorker<Late<ShapeJob>, undefined, ShapeJob>;
let shaping: Shaping;
let guest: Guest;
const arm = vi.fn();
const shaped = vi.fn();

beforeEach(() => {
  vi.clearAllMocks();
  worker = new LaneWorker((make) => make());
  const leases = { arm } as unknown as LeaseTable;
  const identities = new Identities(SUBNET, async () => undefined);
  const classes = new ClassSwitch(leases, identities, {} as Groups);
  shaping = new Shaping(FACTS, DEFAULTS, worker.lane(), classes, { shaped } as unknown as Metrics);
  guest = activeGuest();
});
afterEach(() => {
  vi.useRealTimers();
});

function activeGuest(): Guest {
  const lease = {
    instanceId: "a",
    instanceName: "b",
    ip: 0x0a640007,
    mac: 7,
    classMinor: 0x10,
    limits: limits(20e6),
  };
  const active = new Guest(
    { ...lease, createdMs: 0, createdBootMs: 1, generation: 1, blocked: false },
    allocationFacts({ bridge: "vmbr0", subnet: SUBNET, dns: [], mtu: 1500 }),
  );
  active.port = { tapName: "fk0a640007", class: { minor: 0x10, exists: true, flip: 0 } };
  active.ifindex = 7;
  active.state = "active";
  active.applied = BASE;
  return active;
}

/** Gives the guest other limits, as updateLimits does. */
function ask(download: number): Promise<void> {
  const former = guest.lease.limits;
  guest.lease = { ...guest.lease, limits: limits(download) };
  return shaping.schedule(guest, former);
}

/** Starts the guest's limits, and lets the turn of the event loop end. */
function start(): void {
  shaping.start(guest);
  shaping.beginAll();
}

const asked = () => worker.calls.map((jobs) => jobs.map(({ limits: { tbf } }) => tbf.rate * 8));

describe("the first limits", () => {
  test("are pending, then shaped", async () => {
    start();
    expect(guest.shaping).toBe("pending");
    await settled();
    expect(worker.calls[0]).toEqual([
      {
        tapName: "fk0a640007",
        ifindex: 7,
        class: guest.port?.class,
        limits: kernelLimits(20e6),
        previous: BASE,
        alias: expect.stringContaining(" down=20mbit "),
        previousAlias: expect.stringContaining(" down=20mbit "),
      },
    ]);
    await worker.answer(ok(undefined));
    await guest.shaped.promise;
    expect(guest).toMatchObject({ shaping: "shaped", applied: kernelLimits(20e6) });
    expect(shaped).toHaveBeenCalledWith(expect.any(Number), "shaped");
    expect(arm).not.toHaveBeenCalled();
  });

  test("of a burst are taken up over several turns, in order", async () => {
    const lane = { submit: vi.fn(() => ({ done: new Promise(() => {}), cancel: () => true })) };
    const burst = new Shaping(FACTS, DEFAULTS, lane as never, {} as never, {} as never);
    for (let i = 0; i < 300; i++) burst.start(activeGuest());
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    await turn();
    expect(lane.submit).toHaveBeenCalledTimes(128);
    await turn();
    expect(lane.submit).toHaveBeenCalledTimes(256);
    burst.start(activeGuest());
    await turn();
    expect(lane.submit).toHaveBeenCalledTimes(301);
    await turn();
    expect(lane.submit).toHaveBeenCalledTimes(301);
  });

  test("that are refused leave the guest failed, loudly, at what it had", async () => {
    const heard = vi.fn();
    diagnostics.subscribe("forknet:shaping-failed", heard);
    start();
    await settled();
    await worker.answer(refused(EPERM));
    diagnostics.unsubscribe("forknet:shaping-failed", heard);
    await expect(guest.shaped.promise).rejects.toMatchObject({ code: "ERR_FORKNET_PERMISSION" });
    expect(guest).toMatchObject({ shaping: "failed", applied: BASE });
    expect(heard).toHaveBeenCalledWith(
      expect.objectContaining({ bridge: "vmbr0", instanceId: "a" }),
      expect.anything(),
    );
    expect(shaped).toHaveBeenCalledWith(expect.any(Number), "failed");
  });

  test("open the gate of a guest that was blocked until then", async () => {
    guest.lease = { ...guest.lease, blocked: true };
    start();
    await settled();
    expect(arm).not.toHaveBeenCalled();
    await worker.answer(ok(undefined));
    expect(arm).toHaveBeenCalledExactlyOnceWith(7, expect.objectContaining({ blocked: false }));
    expect(guest.lease.blocked).toBe(false);
  });

  test("keep the gate shut when the lease cannot be written", async () => {
    guest.lease = { ...guest.lease, blocked: true };
    arm.mockImplementationOnce(() => {
      throw new ForknetError("ERR_FORKNET_KERNEL", "BPF: ENOMEM");
    });
    start();
    await settled();
    await worker.answer(ok(undefined));
    await expect(guest.shaped.promise).rejects.toThrow("BPF: ENOMEM");
    expect(guest).toMatchObject({ shaping: "failed", lease: { blocked: true } });
  });

  test("are tried again when the kernel was busy", async () => {
    vi.useFakeTimers();
    start();
    await settled();
    await worker.answer(refused(EBUSY));
    expect(guest.shaping).toBe("pending");
    await vi.runAllTimersAsync();
    await worker.answer(ok(undefined));
    expect(guest.shaping).toBe("shaped");
  });
});

describe("a later wish", () => {
  test("overtakes one that waits, which then settles with it", async () => {
    const first = ask(1e6);
    const second = ask(2e6);
    await settled();
    expect(asked()).toEqual([[2e6]]);
    await worker.answer(ok(undefined));
    await expect(Promise.all([first, second])).resolves.toBeDefined();
  });

  test("waits behind one that the worker has; of several the last counts", async () => {
    const all = [ask(1e6)];
    await settled();
    all.push(ask(2e6), ask(3e6));
    await settled();
    expect(asked()).toEqual([[1e6]]);
    await worker.answer(ok(undefined));
    expect(guest.shaping).not.toBe("shaped");
    expect(asked()).toEqual([[1e6], [3e6]]);
    // What is in place now, to go back to.
    expect(worker.calls[1]?.[0]?.previous).toEqual(kernelLimits(1e6));
    await worker.answer(ok(undefined));
    await expect(Promise.all(all)).resolves.toBeDefined();
    expect(guest).toMatchObject({ shaping: "shaped", applied: kernelLimits(3e6) });
  });

  test("overtakes one that waits for its next attempt", async () => {
    vi.useFakeTimers();
    const first = ask(1e6);
    await settled();
    await worker.answer(refused(EBUSY));
    const second = ask(2e6);
    await vi.runAllTimersAsync();
    expect(asked()).toEqual([[1e6], [2e6]]);
    await worker.answer(ok(undefined));
    await Promise.all([first, second]);
  });

  test("that is refused is the refusal of what it overtook, and tells the alias to go back", async () => {
    const outcomes = Promise.allSettled([ask(1e6), ask(2e6)]);
    await settled();
    expect(worker.calls[0]?.[0]).toMatchObject({
      alias: expect.stringContaining(" down=2mbit "),
      previousAlias: expect.stringContaining(" down=1mbit "),
    });
    await worker.answer(refused(EPERM));
    expect((await outcomes).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  });

  test("writes everything anew after an undo that failed, and after a worker that died", async () => {
    const first = ask(1e6).catch(() => {});
    await settled();
    await worker.answer(refused(EPERM, { leftBehind: ["limits of fk0a640007"] }));
    await first;
    const second = ask(2e6).catch(() => {});
    await settled();
    expect(worker.calls[1]?.[0]).not.toHaveProperty("previous");
    await worker.answer(ok(undefined));
    await second;
    const third = ask(3e6).catch(() => {});
    await settled();
    expect(worker.calls[2]?.[0]).toHaveProperty("previous");
    await worker.crash(new Error("gone"));
    await third;
    expect(guest.applied).toBeUndefined();
  });
});

describe("a cancel", () => {
  test("takes what waits out of the lane", async () => {
    const outcome = expect(ask(1e6)).rejects.toBe(ended);
    shaping.cancel(guest, ended);
    await outcome;
    await settled();
    expect(worker.calls).toEqual([]);
    expect(shaped).toHaveBeenCalledExactlyOnceWith(expect.any(Number), "cancelled");
  });

  test("disowns what runs and drops what waits behind it; settled() waits for the end", async () => {
    guest.lease = { ...guest.lease, blocked: true };
    const outcomes = Promise.allSettled([ask(1e6), settled().then(() => ask(2e6))]);
    await settled();
    await settled();
    shaping.cancel(guest, ended);
    expect(await outcomes).toEqual([
      { status: "rejected", reason: ended },
      { status: "rejected", reason: ended },
    ]);
    const told = vi.fn();
    void shaping.settled(guest).then(told);
    await settled();
    expect(told).not.toHaveBeenCalled();
    await worker.answer(ok(undefined));
    expect(told).toHaveBeenCalled();
    expect(asked()).toEqual([[1e6]]);
    // Nobody arms a guest that is on its way out, but what is in place is known.
    expect(arm).not.toHaveBeenCalled();
    expect(guest.applied).toEqual(kernelLimits(1e6));
  });

  test("of nothing is nothing", async () => {
    shaping.cancel(guest, ended);
    await shaping.settled(guest);
    expect(shaped).not.toHaveBeenCalled();
  });

  test("leaves the guest free for other limits", async () => {
    const first = ask(1e6).catch(() => {});
    await settled();
    shaping.cancel(guest, ended);
    await first;
    const second = ask(2e6);
    await worker.answer(ok(undefined));
    await worker.answer(ok(undefined));
    await second;
    expect(asked()).toEqual([[1e6], [2e6]]);
    expect(guest.shaping).toBe("shaped");
  });
});
