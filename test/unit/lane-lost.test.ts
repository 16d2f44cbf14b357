// A lane whose worker dies: which jobs are repeated, in which order, and which are not.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { WorkerLost } from "../../src/lanes/worker-lost.js";
import { EchoWorker, ok, settled } from "../support/lane-worker.js";

let worker: EchoWorker;

beforeEach(() => {
  vi.useFakeTimers();
  worker = new EchoWorker();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("a worker that dies", () => {
  const gone = () => new WorkerLost("create", new Error("gone"));
  const code = "ERR_FORKNET_WORKER";

  test("rejects the jobs it had where they may not be repeated, and the lane goes on", async () => {
    const lane = worker.lane();
    const first = lane.submit("a");
    const outcome = expect(first.done).rejects.toMatchObject({
      code,
      message: "the create worker died (gone): what it was asked for may or may not have been done",
    });
    await settled();
    const second = lane.submit("b");
    await worker.crash(gone());
    await outcome;
    await vi.runAllTimersAsync();
    expect(worker.calls).toEqual([["a"], ["b"]]);
    await worker.done();
    await expect(second.done).resolves.toMatchObject({ value: "b" });
    expect(lane.depth).toBe(0);
  });

  test("has its jobs repeated one by one where they may be, before all others", async () => {
    const lane = worker.lane({ isRepeatable: true });
    const tickets = ["a", "b"].map((job) => lane.submit(job));
    await settled();
    tickets.push(lane.submit("c"), lane.submit("d"));
    await worker.crash(gone());
    for (let i = 0; i < 3; i++) await worker.done();
    expect(worker.calls).toEqual([["a", "b"], ["a"], ["b"], ["c", "d"]]);
    const done = await Promise.all(tickets.map((ticket) => ticket.done));
    expect(done.map(({ value }) => value)).toEqual(["a", "b", "c", "d"]);
  });

  test("again and again of one job takes no other with it", async () => {
    const lane = worker.lane({ isRepeatable: true });
    const onLost = vi.fn();
    const fatal = lane.submit("fatal", { onLost });
    const other = lane.submit("other", { background: true });
    const outcome = expect(fatal.done).rejects.toMatchObject({ code });
    for (let i = 0; i < 3; i++) {
      await settled();
      await worker.crash(gone());
    }
    await outcome;
    expect(onLost).toHaveBeenCalledTimes(3);
    await worker.done();
    await expect(other.done).resolves.toMatchObject({ value: "other" });
    expect(worker.calls).toEqual([["fatal"], ["fatal"], ["fatal"], ["other"]]);
  });

  test("leaves a job that is cancelled then where it is", async () => {
    const lane = worker.lane({ isRepeatable: true, maxBatch: 1 });
    lane.submit("a");
    const cancelled = lane.submit("b");
    await settled();
    await worker.crash(gone());
    // "a" is repeated now.
    expect(cancelled.cancel()).toBe(true);
    await worker.done();
    expect(worker.calls).toEqual([["a"], ["a"]]);
    expect(lane.depth).toBe(0);
  });

  test("before it began anything repeats nothing", async () => {
    const lane = worker.lane({ isRepeatable: true });
    const onLost = vi.fn();
    const ticket = lane.submit("a", { onLost });
    const outcome = expect(ticket.done).rejects.toThrow("not begun");
    await settled();
    await worker.crash(new Error("not begun"));
    await outcome;
    expect(onLost).not.toHaveBeenCalled();
    expect(worker.calls).toEqual([["a"]]);
  });

  test("of an answer that is none rejects every job, and the lane goes on", async () => {
    const lane = worker.lane();
    const [a, b] = [lane.submit("a"), lane.submit("b")];
    const outcome = expect(b.done).rejects.toThrow(TypeError);
    await settled();
    await worker.answer(ok("a"));
    await outcome;
    await expect(a.done).resolves.toMatchObject({ value: "a" });
    const c = lane.submit("c");
    await settled();
    await worker.done();
    await expect(c.done).resolves.toMatchObject({ value: "c" });
  });
});
