// A worker's thread and its deaths, with real threads and no kernel: what its calls are told, that
// the next thread serves, and that nobody waits for ever.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type { WorkerLost } from "../../src/lanes/worker-lost.js";
import { WorkerThread } from "../../src/lanes/worker-thread.js";

const DEATHS = ["throw", "exit", "memory"] as const;
const REASONS = {
  throw: "thrown by the test",
  exit: "it exited with code 7",
  memory: "Worker terminated due to reaching memory limit: JS heap out of memory",
};
const HEAP_MB = 24;
const lost: WorkerLost[] = [];
let ports = 0;

afterEach(() => {
  lost.length = 0;
  ports = 0;
});

function startThread(): WorkerThread {
  const thread = new WorkerThread({
    name: "reap",
    file: new URL(`../support/mortal-worker.mjs`, import.meta.url),
    heapMb: HEAP_MB,
    onPort: () => {
      ports += 1;
    },
    onLost: (error) => lost.push(error),
  });
  onTestFinished(() => thread.stop());
  return thread;
}

async function answer(thread: WorkerThread, ...jobs: object[]): Promise<unknown[]> {
  const results = await thread.run<unknown>({ method: "work", jobs });
  return results.map((one) => (one.ok ? one.value : one.failure));
}

describe.each(DEATHS)("death by %s", (death) => {
  test("rejects the call, tells why, and the next thread serves", async () => {
    const thread = startThread();
    expect(await answer(thread, { a: 1 })).toEqual([{ a: 1 }]);
    const fatal = answer(thread, { death });
    const next = answer(thread, { b: 2 });
    await expect(fatal).rejects.toMatchObject({
      code: "ERR_FORKNET_WORKER",
      message: expect.stringContaining(`the reap worker died (${REASONS[death]})`),
    });
    expect(await next).toEqual([{ b: 2 }]);
    expect(lost).toHaveLength(1);
    expect(lost[0]?.cause).toMatchObject({ message: REASONS[death] });
    expect(ports).toBe(2);
  });
});

/** Until it is called, every thread dies while it loads its modules. */
function letNoneStart(): () => void {
  const folder = mkdtempSync(join(tmpdir(), "forknet-stillborn-"));
  const file = join(folder, "die");
  writeFileSync(file, "");
  vi.stubEnv("FORKNET_TEST_STILLBORN", file);
  onTestFinished(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });
  return () => rmSync(file);
}

test("a thread that dies while it starts is started again, and its calls wait", async () => {
  const letStart = letNoneStart();
  const thread = startThread();
  const waiting = answer(thread, { a: 1 });
  await expect.poll(() => lost.length).toBeGreaterThan(0);
  letStart();
  expect(await waiting).toEqual([{ a: 1 }]);
});

test("where every thread dies, calls fail and are not begun, until one lives", async () => {
  const letStart = letNoneStart();
  const thread = startThread();
  const calls = Array.from({ length: 10 }, () => answer(thread, { a: 1 }));
  const outcomes = await Promise.allSettled(calls);
  expect(outcomes.map((one) => one.status === "rejected" && one.reason.message)).toEqual(
    calls.map(() => "the reap worker dies again and again: nothing was begun"),
  );
  // The calls did not start a thread each.
  expect(lost.length).toBeLessThan(calls.length);
  letStart();
  const alive = () => answer(thread, { a: 1 }).catch(() => []);
  await expect.poll(alive, { timeout: 20_000 }).toEqual([{ a: 1 }]);
}, 60_000);

test("a job that kills every thread does not keep the others from theirs", async () => {
  const thread = startThread();
  for (let i = 0; i < 4; i++) {
    await expect(answer(thread, { death: "exit" })).rejects.toThrow("died");
    expect(await answer(thread, { i })).toEqual([{ i }]);
  }
}, 60_000);

test("a message that cannot be posted is a loss, too: nobody knows the thread's state", async () => {
  const thread = startThread();
  await expect(answer(thread, { fn: () => {} })).rejects.toMatchObject({
    code: "ERR_FORKNET_WORKER",
  });
  expect(await answer(thread, { a: 1 })).toEqual([{ a: 1 }]);
});

test("after its end nothing is started, and what waits is told", async () => {
  const thread = startThread();
  await thread.start();
  await expect(answer(thread, { death: "exit" })).rejects.toThrow("died");
  const closed = { code: "ERR_FORKNET_CLOSED" };
  const waiting = expect(answer(thread, { a: 1 })).rejects.toMatchObject(closed);
  await thread.stop();
  await waiting;
  await expect(answer(thread, {})).rejects.toMatchObject(closed);
  expect(lost).toHaveLength(1);
});
