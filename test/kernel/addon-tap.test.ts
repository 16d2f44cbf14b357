// TAPs: what openTap sets, what it refuses, what it leaves behind; and the wire between two of
// them.
import { closeSync, openSync, readdirSync, readFileSync, readSync, writeSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { binaryPath } from "./addon-binary.js";
import { addon, kept, linkNamed, must, openTap, thrown, useNetlink } from "./addon-fixture.js";

const netlink = useNetlink();
const openFiles = () => readdirSync("/proc/self/fd").length;

describe("openTap", () => {
  it("makes a TAP that goes with its descriptor", () => {
    const { fd, ifindex, name } = addon.openTap({ name: "tap0" });
    expect(name).toBe("tap0");
    expect(linkNamed(netlink(), "tap0")).toMatchObject({
      ifindex,
      kind: "tun",
      tun: { tap: true, persistent: false, vnetHdr: false, multiQueue: false },
    });
    expect(linkNamed(netlink(), "tap0").tun).not.toHaveProperty("owner");
    addon.closeFd(fd);
    expect(netlink().link({ name: "tap0" })).toBeUndefined();
  });

  it("sets owner, group, header and queues", () => {
    openTap({
      name: "tap0",
      owner: 0,
      group: 1000,
      vnetHdr: true,
      multiQueue: true,
      offload: true,
    });
    expect(linkNamed(netlink(), "tap0").tun).toEqual({
      tap: true,
      persistent: false,
      vnetHdr: true,
      multiQueue: true,
      owner: 0,
      group: 1000,
      queues: 1,
    });
  });

  it("tells how many queues of a TAP processes have", () => {
    const options = { name: "tap0", multiQueue: true };
    const queues = () => linkNamed(netlink(), "tap0").tun?.queues;
    const { fd } = openTap(options);
    const { fd: second } = addon.openTap(options);
    expect(queues()).toBe(2);
    addon.closeFd(second);
    expect(queues()).toBe(1);
    addon.setTapPersistent(fd, true);
    expect(linkNamed(netlink(), "tap0").tun?.queues).toBe(1);
    addon.setTapPersistent(fd, false);
  });

  it("gives a TAP to other owners, and takes none away", () => {
    const { fd } = openTap({ name: "tap0" });
    addon.setTapOwner(fd, 2 ** 32 - 2);
    addon.setTapGroup(fd, 7);
    const ids = () => {
      const { owner, group } = linkNamed(netlink(), "tap0").tun ?? {};
      return [owner, group];
    };
    expect(ids()).toEqual([2 ** 32 - 2, 7]);
    addon.setTapOwner(fd, 0);
    expect(ids()).toEqual([0, 7]);
    for (const id of [-1, 2 ** 32 - 1, 1.5, "0", undefined] as never[]) {
      expect(() => addon.setTapOwner(fd, id)).toThrow(TypeError);
      expect(() => addon.setTapGroup(fd, id)).toThrow(TypeError);
    }
    expect(ids()).toEqual([0, 7]);
  });

  it("keeps a persistent TAP, which then tells whether somebody has it open", () => {
    const { fd, ifindex } = addon.openTap({ name: "tap0", vnetHdr: true });
    addon.setTapPersistent(fd, true);
    must(netlink(), { op: "link.set", ifindex, up: true });
    expect(linkNamed(netlink(), "tap0")).toMatchObject({
      lowerUp: true,
      tun: { persistent: true },
    });
    addon.closeFd(fd);
    expect(linkNamed(netlink(), "tap0")).toMatchObject({ up: true, lowerUp: false });
    const again = openTap({ name: "tap0", vnetHdr: true });
    expect(again.ifindex).toBe(ifindex);
    addon.setTapPersistent(again.fd, false);
  });

  it("tells its name and index after a rename", () => {
    const { fd, ifindex } = addon.openTap({ name: "before" });
    addon.setTapPersistent(fd, true);
    addon.closeFd(fd);
    must(netlink(), { op: "link.set", ifindex, name: "after" });
    expect(openTap({ name: "after" })).toMatchObject({ name: "after", ifindex });
  });

  it("opens without waiting when asked to", () => {
    const { fd, ifindex } = openTap({ name: "tap0", nonBlocking: true });
    must(netlink(), { op: "link.set", ifindex, up: true });
    // The kernel may have frames of its own to send when the link comes up.
    const error = thrown(() => {
      for (;;) readSync(fd, Buffer.alloc(2000));
    });
    expect(error.code).toBe("EAGAIN");
  });

  it("refuses a TAP that is open, or that exists when it must not", () => {
    const { fd } = openTap({ name: "tap0" });
    const busy = {
      code: "EBUSY",
      errno: -16,
      syscall: "TUNSETIFF",
      message: expect.stringContaining("tap0"),
    };
    expect(thrown(() => addon.openTap({ name: "tap0" }))).toMatchObject(busy);
    addon.setTapPersistent(fd, true);
    expect(thrown(() => addon.openTap({ name: "tap0", exclusive: true }))).toMatchObject(busy);
  });

  it("refuses a link that is no TAP, and one with other queues", () => {
    must(netlink(), { op: "link.create", name: "ifb0", kind: "ifb" });
    expect(thrown(() => addon.openTap({ name: "ifb0" }))).toMatchObject({
      code: "EINVAL",
      syscall: "TUNSETIFF",
    });
    const { fd } = addon.openTap({ name: "tap0", multiQueue: true });
    addon.setTapPersistent(fd, true);
    addon.closeFd(fd);
    expect(thrown(() => addon.openTap({ name: "tap0" }))).toMatchObject({ code: "EINVAL" });
  });

  it("leaves neither descriptor nor device when it fails", () => {
    openTap({ name: "tap0" });
    const before = openFiles();
    for (let i = 0; i < 100; i++) thrown(() => addon.openTap({ name: "tap0", exclusive: true }));
    expect(openFiles()).toBe(before);
    expect(netlink().links({ kind: "tun" })).toHaveLength(1);
  });

  it("hands out close-on-exec descriptors", () => {
    const { fd } = openTap({ name: "tap0" });
    const O_CLOEXEC = 0o2000000;
    const flags = /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))?.[1];
    expect(Number.parseInt(flags ?? "0", 8) & O_CLOEXEC).toBe(O_CLOEXEC);
  });
});

describe("descriptors that are none", () => {
  it("are refused as Node refuses them", () => {
    expect(thrown(() => addon.closeFd(999_999))).toMatchObject({
      code: "EBADF",
      errno: -9,
      syscall: "close",
    });
    const file = openSync("/dev/null", "r");
    expect(thrown(() => addon.setTapPersistent(file, true))).toMatchObject({
      syscall: "TUNSETPERSIST",
    });
    expect(thrown(() => addon.setTapOwner(file, 0))).toMatchObject({ syscall: "TUNSETOWNER" });
    expect(thrown(() => addon.setTapGroup(file, 0))).toMatchObject({ syscall: "TUNSETGROUP" });
    closeSync(file);
    expect(thrown(() => addon.wire(999_998, 999_999))).toMatchObject({ code: "EBADF" });
  });
});

describe("wire", () => {
  // A broadcast frame that no stack answers: EtherType 0x88b5 is for experiments.
  const frame = Buffer.concat([
    Buffer.from("ffffffffffff02000000000988b5", "hex"),
    Buffer.from("forknet".padEnd(64, ".")),
  ]);

  it("carries frames both ways until it is told to stop", async () => {
    // Two bridges, each with a port for the wire and a port to send and listen at.
    const ends = ["a", "b"].map((side) => {
      must(netlink(), {
        op: "link.create",
        name: `br-${side}`,
        kind: "bridge",
        multicastSnooping: false,
      });
      const bridge = linkNamed(netlink(), `br-${side}`).ifindex;
      const inner = openTap({ name: `wire-${side}`, nonBlocking: true });
      const outer = openTap({ name: `host-${side}`, nonBlocking: true });
      for (const { ifindex } of [inner, outer]) {
        must(
          netlink(),
          { op: "link.set", ifindex, master: bridge },
          { op: "link.set", ifindex, up: true },
        );
      }
      must(netlink(), { op: "link.set", ifindex: bridge, up: true });
      return { wire: inner.fd, host: outer.fd };
    });
    const [a, b] = ends as [(typeof ends)[0], (typeof ends)[0]];
    // A listening socket becomes readable when somebody connects: asking for the lock stops the
    // wire.
    const stop = addon.lockAbstract("forknet-test-stop");
    if (!("fd" in stop)) throw new Error("the stop socket is taken");
    kept(stop);
    const worker = new Worker(
      `const { workerData } = require("node:worker_threads");
       require(workerData.binary).wire(workerData.a, workerData.b, workerData.stop);`,
      { eval: true, workerData: { binary: binaryPath(), a: a.wire, b: b.wire, stop: stop.fd } },
    );
    const ended = new Promise((resolve, reject) =>
      worker.once("exit", resolve).once("error", reject),
    );
    await expect.poll(() => passes(a.host, b.host)).toBe(true);
    await expect.poll(() => passes(b.host, a.host)).toBe(true);
    expect(addon.lockAbstract("forknet-test-stop")).toMatchObject({ holder: { pid: process.pid } });
    expect(await ended).toBe(0);
  });

  it("ends when an end's device is deleted", () => {
    const one = openTap({ name: "one", nonBlocking: true });
    const two = openTap({ name: "two", nonBlocking: true });
    must(netlink(), { op: "link.delete", ifindex: one.ifindex });
    addon.wire(one.fd, two.fd);
  });

  function passes(from: number, to: number): boolean {
    writeSync(from, frame);
    const received = Buffer.alloc(2000);
    for (let i = 0; i < 50; i++) {
      try {
        const size = readSync(to, received);
        if (received.subarray(0, size).equals(frame)) return true;
      } catch {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      }
    }
    return false;
  }
});
