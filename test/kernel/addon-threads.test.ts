// The addon in worker threads: ten at once, each with its own state, and nothing left when they end
// or are ended.
import { readdirSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { binaryPath } from "./addon-binary.js";
import { useNetlink } from "./addon-fixture.js";

const THREADS = 10;
const ROUNDS = 3;
const netlink = useNetlink();
const openFiles = () => readdirSync("/proc/self/fd").length;

// Leaves its sockets open on purpose: the environment's end has to close them.
const code = `
  const { parentPort, workerData } = require("node:worker_threads");
  const addon = require(workerData.binary);
  const { Netlink } = require(workerData.binary);
  const sockets = Array.from({ length: 5 }, () => new Netlink());
  const name = "worker-" + workerData.number;
  const made = sockets[0].talk([{ op: "link.create", name, kind: "ifb" }]);
  let links = 0;
  for (let i = 0; i < 50; i++) links = sockets[i % 5].links().length;
  addon.closeFd(addon.openTap({ name: "wtap-" + workerData.number }).fd);
  const { ifindex } = sockets[1].link({ name });
  const gone = sockets[2].talk([{ op: "link.delete", ifindex }]);
  parentPort.postMessage({ made, links, gone });
  if (workerData.endless) for (;;) sockets[0].links();
`;

function start(number: number, endless = false): Worker {
  return new Worker(code, { eval: true, workerData: { binary: binaryPath(), number, endless } });
}

const message = (worker: Worker) =>
  new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
const exit = (worker: Worker) =>
  new Promise((resolve, reject) => worker.once("exit", resolve).once("error", reject));

describe("worker threads", () => {
  it(`run ${THREADS} at once, again and again, and close what they opened`, async () => {
    // The first worker of a process makes Node open files that stay.
    await exit(start(0));
    const before = openFiles();
    for (let round = 0; round < ROUNDS; round++) {
      const workers = Array.from({ length: THREADS }, (_, number) => start(number));
      const results = workers.map(message);
      const exits = workers.map(exit);
      for (const result of await Promise.all(results)) {
        expect(result).toEqual({ made: [null], links: expect.any(Number), gone: [null] });
      }
      expect(await Promise.all(exits)).toEqual(workers.map(() => 0));
    }
    expect(openFiles()).toBe(before);
    expect(netlink().links({ kind: "ifb" })).toEqual([]);
  });

  it("can be terminated in the middle of a call", async () => {
    await exit(start(0));
    const before = openFiles();
    const workers = Array.from({ length: THREADS }, (_, number) => start(number, true));
    await Promise.all(workers.map(message));
    await Promise.all(workers.map((worker) => worker.terminate()));
    expect(openFiles()).toBe(before);
  });

  it("leave the main thread's socket alone", async () => {
    await exit(start(0));
    expect(netlink().link({ name: "lo" })?.ifindex).toBe(1);
  });
});
