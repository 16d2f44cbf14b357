// A lane without a worker: what goes into one call, in which order, what is repeated, and what a
// cancel does.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Deferred } from "../../src/deferred.js";
import { EchoWorker, ok, refused, settled, TIME } from "../support/lane-worker.js";

const [EPERM, ENOENT, EINTR, EAGAIN, EBUSY, ENOBUFS] = [1, 2, 4, 11, 16, 105] as const;
const MOST_ATTEMPTS = 6;

let worker: EchoWorker;

beforeEach(() => {
  vi.useFakeTimers();
  worker = new EchoWorker();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("group commit", () => {
  test("takes what is submitted in one tick in one call", async () => {
    const lane = worker.lane();
    const tickets = ["a", "b", "c"].map((job) => lane.submit(job));
    expect(worker.calls).toEqual([]);
    expect(lane.depth).toBe(3);
    await settled();
    expect(worker.calls).toEqual([["a", "b", "c"]]);
    await worker.done();
    const done = await Promise.all(tickets.map((ticket) => ticket.done));
    expect(done.map(({ value }) => value)).toEqual(["a", "b", "c"]);
    expect(done[0]?.time).toMatchObject(TIME);
    expect(lane.depth).toBe(0);
  });

  test("collects what comes while a call runs, and sends it with the next", async () => {
    const lane = worker.lane();
    lane.submit("a");
    await settled();
    lane.submit("b");
    await settled();
    lane.submit("c");
    await settled();
    expect(worker.calls).toEqual([["a"]]);
    await worker.done();
    expect(worker.calls).toEqual([["a"], ["b", "c"]]);
  });

  test("keeps a call under its bound, and the order", async () => {
    const lane = worker.lane({ maxBatch: 2 });
    for (const job of ["a", "b", "c", "d", "e"]) lane.submit(job);
    await settled();
    await worker.done();
    await worker.done();
    expect(worker.calls).toEqual([["a", "b"], ["c", "d"], ["e"]]);
  });

  test("sends background jobs when nothing urgent waits, and never beside it", async () => {
    const lane = worker.lane({ maxBatch: 2 });
    lane.submit("slot 1", { background: true });
    lane.submit("slot 2", { background: true });
    lane.submit("fork 1");
    await settled();
    lane.submit("fork 2");
    await worker.done();
    await worker.done();
    expect(worker.calls).toEqual([["fork 1"], ["fork 2"], ["slot 1", "slot 2"]]);
  });

  test("waits for the end of the turn where it is told to", async () => {
    const lane = worker.lane({ afterTurn: true });
    lane.submit("a");
    await settled();
    expect(worker.calls).toEqual([]);
    lane.submit("b");
    vi.runAllTimers();
    expect(worker.calls).toEqual([["a", "b"]]);
  });
});

describe("a cancel", () => {
  test("takes a job out of the queue, which then never settles", async () => {
    const lane = worker.lane();
    lane.submit("a");
    await settled();
    const settlements = vi.fn();
    const ticket = lane.submit("b");
    ticket.done.then(settlements, settlements);
    expect(ticket.cancel()).toBe(true);
    expect(ticket.cancel()).toBe(false);
    await worker.done();
    expect(worker.calls).toEqual([["a"]]);
    expect(settlements).not.toHaveBeenCalled();
    expect(lane.depth).toBe(0);
  });

  test("with a reason rejects the job it took out, and no other", async () => {
    const lane = worker.lane();
    const sent = lane.submit("a");
    await settled();
    const waiting = lane.submit("b");
    const reason = new Error("no longer wanted");
    expect(waiting.cancel(reason)).toBe(true);
    await expect(waiting.done).rejects.toBe(reason);
    expect(sent.cancel(reason)).toBe(false);
    await worker.done();
    await expect(sent.done).resolves.toMatchObject({ value: "a" });
  });

  test("comes too late for a job that the worker has", async () => {
    const ticket = worker.lane().submit("a");
    await settled();
    expect(ticket.cancel()).toBe(false);
    await worker.done();
    await expect(ticket.done).resolves.toMatchObject({ value: "a" });
  });

  test("takes a job that waits for its next attempt", async () => {
    const lane = worker.lane();
    const ticket = lane.submit("a");
    await settled();
    await worker.answer(refused(EBUSY));
    const idle = vi.fn();
    void lane.idle().then(idle);
    expect(lane.depth).toBe(1);
    expect(ticket.cancel()).toBe(true);
    await vi.runAllTimersAsync();
    expect(worker.calls).toEqual([["a"]]);
    expect(idle).toHaveBeenCalled();
  });
});

describe("a refusal", () => {
  test.each([EINTR, EAGAIN, EBUSY, ENOBUFS])(
    "with errno %d is repeated and may pass",
    async (errno) => {
      const onFailure = vi.fn();
      const ticket = worker.lane({ onFailure }).submit("a");
      await settled();
      await worker.answer(refused(errno));
      expect(worker.calls).toHaveLength(1);
      await vi.runAllTimersAsync();
      expect(worker.calls).toHaveLength(2);
      await worker.done();
      await expect(ticket.done).resolves.toMatchObject({ value: "a" });
      expect(onFailure).toHaveBeenCalledOnce();
    },
  );

  test("that does not pass is given up, each pause longer than the one before", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0);
    const delays = vi.spyOn(globalThis, "setTimeout");
    const ticket = worker.lane().submit("a");
    const outcome = expect(ticket.done).rejects.toMatchObject({
      code: "ERR_FORKNET_KERNEL",
      errnoName: "EBUSY",
    });
    for (let i = 0; i < MOST_ATTEMPTS; i++) {
      await settled();
      await worker.answer(refused(EBUSY));
      await vi.runAllTimersAsync();
    }
    await outcome;
    expect(worker.calls).toHaveLength(MOST_ATTEMPTS);
    expect(delays.mock.calls.map(([, delay]) => delay)).toEqual([2, 4, 8, 16, 32]);
    vi.restoreAllMocks();
  });

  test.each([
    ["of another kind", refused(EPERM)],
    ["whose undo failed", refused(EBUSY, { leftBehind: ["TAP tap0"] })],
    [
      "that is not the kernel's own",
      refused(EBUSY, { code: "ERR_FORKNET_CONFLICT", text: "taken" }),
    ],
  ])("%s is final", async (_, result) => {
    const ticket = worker.lane().submit("a");
    const outcome = expect(ticket.done).rejects.toHaveProperty("code");
    await settled();
    await worker.answer(result);
    await outcome;
    await vi.runAllTimersAsync();
    expect(worker.calls).toHaveLength(1);
  });

  test("of one job does not touch the others of its call", async () => {
    const lane = worker.lane();
    const [a, b, c] = ["a", "b", "c"].map((job) => lane.submit(job)) as [
      ReturnType<typeof lane.submit>,
      ReturnType<typeof lane.submit>,
      ReturnType<typeof lane.submit>,
    ];
    await settled();
    await worker.answer(ok("a"), refused(EPERM), refused(EBUSY));
    await expect(a.done).resolves.toMatchObject({ value: "a" });
    await expect(b.done).rejects.toMatchObject({ code: "ERR_FORKNET_PERMISSION" });
    await vi.runAllTimersAsync();
    expect(worker.calls).toEqual([["a", "b", "c"], ["c"]]);
    await worker.done();
    await expect(c.done).resolves.toMatchObject({ value: "c" });
  });

  test("is settled whatever the one who is told of it throws", async () => {
    const onFailure = () => {
      throw new Error("its own");
    };
    const lane = worker.lane({ onFailure });
    const [a, b] = [lane.submit("a"), lane.submit("b")];
    await settled();
    const outcome = expect(a.done).rejects.toMatchObject({ code: "ERR_FORKNET_KERNEL" });
    await worker.answer(refused(ENOENT), ok("b"));
    await outcome;
    await expect(b.done).resolves.toMatchObject({ value: "b" });
  });

  test("without an errno is an error of its own", async () => {
    const ticket = worker.lane().submit("a");
    const outcome = expect(ticket.done).rejects.toThrow("not a number");
    await settled();
    await worker.answer(refused(-0, { text: "not a number" }));
    await outcome;
  });
});

describe("idle", () => {
  test("resolves at once when nothing is there", async () => {
    await expect(worker.lane().idle()).resolves.toBeUndefined();
  });

  test("waits for the queue, for what runs, and for what is repeated", async () => {
    const lane = worker.lane({ maxBatch: 1 });
    const isIdle = new Deferred();
    const told = vi.fn();
    lane.submit("a");
    lane.submit("b");
    lane.idle().then(isIdle.resolve, isIdle.reject);
    void isIdle.promise.then(told);
    await settled();
    await worker.done();
    await worker.answer(refused(EBUSY));
    expect(told).not.toHaveBeenCalled();
    await vi.runAllTimersAsync();
    expect(told).not.toHaveBeenCalled();
    await worker.done();
    expect(told).toHaveBeenCalledOnce();
    expect(worker.calls).toEqual([["a"], ["b"], ["b"]]);
  });
});
