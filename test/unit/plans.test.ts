// The plans of a slot and of its limits as pure data: which messages, in which order, and what is
// taken back when one is refused.

import { describe, expect, test } from "vitest";
import type { KernelFailure } from "../../src/errors.js";
import { Refused } from "../../src/kernel/kernel.js";
import { toKernelLimits } from "../../src/limits.js";
import { type ShapeJob, shape } from "../../src/plans/shape.js";
import { afterPersist, beforePersist, createSlot, type SlotSpec } from "../../src/plans/slot.js";
import { FACTS, recordingKernel, TAP_IFINDEX } from "../support/recording-kernel.js";

const DEFAULTS = {
  uploadBurstMultiplier: 4,
  downloadBurstMultiplier: 4,
  downloadLatencyMs: 50,
  uploadLatencyMs: 50,
  mtu: 1500,
  baseLimit: 10e6,
};
const LIMITS = toKernelLimits({ download: 20e6, upload: { rate: 5e6, ceil: 20e6 } }, DEFAULTS);
const LOWER = toKernelLimits({ download: 3e6, upload: { rate: 1e6, ceil: 2e6 } }, DEFAULTS);
const SPEC: SlotSpec = {
  tapName: "fk0a640007",
  ip: 0x0a640007,
  mac: 0x02000a640007,
  class: { minor: 0x10, exists: false, flip: 0 },
  limits: LIMITS,
  alias: "forknet1 a b",
};
const [EPERM, ENOENT, EBUSY, ENODEV] = [1, 2, 16, 19] as const;

function refusalOf(run: () => unknown): KernelFailure {
  try {
    run();
  } catch (error) {
    if (error instanceof Refused) return error.failure;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("a slot", () => {
  test("is made in this order", () => {
    const { kernel, operations } = recordingKernel();
    expect(createSlot(kernel, FACTS, SPEC)).toBe(TAP_IFINDEX);
    expect(operations).toEqual([
      "TUNSETIFF on fk0a640007",
      "RTM_NEWLINK alias,mtu,addressGeneration on fk0a640007",
      "RTM_NEWQDISC tbf on fk0a640007",
      "RTM_NEWQDISC clsact on fk0a640007",
      "TUNSETPERSIST",
      "close 99",
      "RTM_NEWTFILTER forknet-guard at ffff:fff2 on fk0a640007",
      "RTM_NEWTFILTER forknet-gate at ffff:fff3 on fk0a640007",
      "RTM_NEWTCLASS 1:10 on fku0a640001",
      "RTM_NEWQDISC tbf on fku0a640001",
      "RTM_NEWLINK master on fk0a640007",
      "RTM_SETLINK port flags on fk0a640007",
      "RTM_NEWNEIGH fdb 02:00:0a:64:00:07 on fk0a640007",
      "RTM_NEWNEIGH 10.100.0.7 on fk0a640007",
      "RTM_NEWLINK up on fk0a640007",
    ]);
  });

  test("redirects at the guard on a kernel where the program cannot", () => {
    const redirects = (mirrored: boolean) =>
      afterPersist({ ...FACTS, mirrored }, SPEC, TAP_IFINDEX).flatMap((message) =>
        message.op === "filter.bpf" && message.redirectTo !== undefined
          ? [[message.programFd, message.redirectTo]]
          : [],
      );
    expect(redirects(true)).toEqual([[FACTS.programs.guard, FACTS.shaper.ifindex]]);
    expect(redirects(false)).toEqual([]);
  });

  test("joins the bridge with its guard on, and is up last", () => {
    const messages = afterPersist(FACTS, SPEC, TAP_IFINDEX);
    const at = (is: (message: (typeof messages)[number]) => boolean) => messages.findIndex(is);
    const guard = at((m) => m.op === "filter.bpf" && m.programFd === FACTS.programs.guard);
    const gate = at((m) => m.op === "filter.bpf" && m.programFd === FACTS.programs.gate);
    const master = at((m) => m.op === "link.set" && m.master === FACTS.bridge.ifindex);
    const port = at((m) => m.op === "port.set");
    const up = at((m) => m.op === "link.set" && m.up === true);
    expect(Math.min(guard, gate)).toBeGreaterThanOrEqual(0);
    expect(master).toBeGreaterThan(Math.max(guard, gate));
    // Port data applies to the present master: in one message with it, it would be about none.
    expect(port).toBeGreaterThan(master);
    expect(messages[master]).toEqual({
      op: "link.set",
      ifindex: TAP_IFINDEX,
      master: FACTS.bridge.ifindex,
    });
    expect(up).toBe(messages.length - 1);
    expect(messages.filter((m) => m.op === "link.set" && "up" in m)).toHaveLength(1);
  });

  test("is closed to its peers on an isolated network, and lets broadcasts in on an open one", () => {
    const port = (isolated: boolean) =>
      afterPersist({ ...FACTS, isolated }, SPEC, TAP_IFINDEX).find((m) => m.op === "port.set");
    const common = { op: "port.set", ifindex: TAP_IFINDEX, learning: false, unicastFlood: false };
    expect(port(true)).toEqual({
      ...common,
      isolated: true,
      multicastFlood: false,
      broadcastFlood: false,
    });
    expect(port(false)).toEqual({
      ...common,
      isolated: false,
      multicastFlood: true,
      broadcastFlood: true,
    });
  });

  test("has its TBF before clsact, while it is down, and no IPv6 address", () => {
    const [link, tbf, clsact] = beforePersist(FACTS, SPEC, TAP_IFINDEX);
    expect(link).toMatchObject({ op: "link.set", alias: SPEC.alias, addressGeneration: "none" });
    expect(tbf).toMatchObject({ op: "qdisc.tbf", verb: "add", ...LIMITS.tbf });
    expect(clsact).toMatchObject({ op: "qdisc.clsact", verb: "add" });
    expect(beforePersist({ ...FACTS, ipv6: false }, SPEC, TAP_IFINDEX)[0]).not.toHaveProperty(
      "addressGeneration",
    );
  });

  test("changes a class that is there, and gives it another leaf", () => {
    const claim = { minor: 0x10, exists: true, flip: 1 } as const;
    const messages = afterPersist(FACTS, { ...SPEC, class: claim }, TAP_IFINDEX);
    const { leaf, ...rates } = LIMITS.htb;
    expect(messages.find((m) => m.op === "class.htb")).toMatchObject({
      verb: "change",
      handle: 0x10010,
      parent: 0x10001,
      ...rates,
    });
    const queue = { verb: "replace", parent: 0x10010, handle: 0xc010_0000, ...leaf };
    expect(messages.find((m) => m.op === "qdisc.tbf")).toMatchObject(queue);
  });

  const UNDO = [
    "RTM_DELNEIGH 10.100.0.7 on vmbr0",
    "RTM_DELTCLASS 1:10 on fku0a640001",
    "RTM_DELLINK on fk0a640007",
  ];

  test("that cannot come up is taken back in reverse order", () => {
    const { kernel, operations } = recordingKernel((operation) =>
      operation === "RTM_NEWLINK up" ? EPERM : 0,
    );
    const failure = refusalOf(() => createSlot(kernel, FACTS, SPEC));
    expect(failure).toMatchObject({
      operation: "RTM_NEWLINK up",
      errno: EPERM,
      device: "fk0a640007",
      leftBehind: [],
    });
    expect(operations.slice(-3)).toEqual(UNDO);
  });

  test("leaves a class that was there before", () => {
    const { kernel, operations } = recordingKernel((operation) =>
      operation === "RTM_NEWLINK up" ? EPERM : 0,
    );
    refusalOf(() => createSlot(kernel, FACTS, { ...SPEC, class: { ...SPEC.class, exists: true } }));
    expect(operations.slice(-2)).toEqual([UNDO[0], UNDO[2]]);
  });

  test("takes back only what was done, and closes the TAP whatever fails", () => {
    const { kernel, operations } = recordingKernel((operation) =>
      operation === "RTM_NEWQDISC clsact" ? EBUSY : 0,
    );
    expect(refusalOf(() => createSlot(kernel, FACTS, SPEC)).errno).toBe(EBUSY);
    expect(operations.slice(-2)).toEqual(["RTM_NEWQDISC clsact on fk0a640007", "close 99"]);
  });

  test("tells what its undo left, and takes what is gone as undone", () => {
    const errnos: Record<string, number> = {
      "RTM_NEWLINK up": EPERM,
      RTM_DELLINK: EPERM,
      "RTM_DELTCLASS 1:10": ENOENT,
      "RTM_DELNEIGH 10.100.0.7": EBUSY,
    };
    const { kernel } = recordingKernel((operation) => errnos[operation] ?? 0);
    const { leftBehind } = refusalOf(() => createSlot(kernel, FACTS, SPEC));
    expect(leftBehind).toEqual(["neighbour entry on vmbr0", "TAP fk0a640007"]);
  });
});

describe("shaping", () => {
  const job: ShapeJob = {
    tapName: "fk0a640007",
    ifindex: TAP_IFINDEX,
    class: { minor: 0x10, exists: true, flip: 0 },
    limits: LIMITS,
    previous: LOWER,
    alias: "new",
    previousAlias: "old",
  };

  test("changes in place, in one send, and tells the alias last", () => {
    const { kernel, messages } = recordingKernel();
    expect(shape(kernel, FACTS, [job])).toEqual([null]);
    expect(messages).toEqual([
      expect.objectContaining({
        op: "qdisc.tbf",
        verb: "change",
        ifindex: TAP_IFINDEX,
        ...LIMITS.tbf,
      }),
      expect.objectContaining({
        op: "class.htb",
        verb: "change",
        ifindex: 4,
        handle: 0x10010,
        rate: LIMITS.htb.rate,
      }),
      expect.objectContaining({
        op: "qdisc.tbf",
        ifindex: 4,
        parent: 0x10010,
        ...LIMITS.htb.leaf,
      }),
      { op: "link.set", ifindex: TAP_IFINDEX, alias: "new" },
    ]);
  });

  test("empties the queue before the bucket shrinks below what waits in it", () => {
    const { kernel, operations } = recordingKernel();
    shape(kernel, FACTS, [{ ...job, limits: LOWER, previous: LIMITS }]);
    expect(operations.map((operation) => operation.split(" on ")[0])).toEqual([
      "RTM_NEWQDISC bfifo",
      "RTM_DELQDISC parent 1:1",
      "RTM_NEWQDISC tbf",
      "RTM_NEWTCLASS 1:10",
      "RTM_NEWQDISC tbf",
      "RTM_NEWLINK alias",
    ]);
  });

  test("writes everything anew where nobody knows what is there", () => {
    const { previous: _, ...unknown } = job;
    const { kernel, messages } = recordingKernel();
    shape(kernel, FACTS, [unknown]);
    const verbs = messages.filter((message) => "verb" in message).map(({ verb }) => verb);
    expect(new Set(verbs)).toEqual(new Set(["replace"]));
    expect(messages.map(({ op }) => op)).toContain("class.htb");
  });

  test("puts the former limits and the former alias back for the one that is refused", () => {
    const other = {
      ...job,
      tapName: "fk0a640008",
      ifindex: 8,
      class: { ...job.class, minor: 0x11 },
    };
    const { kernel, messages } = recordingKernel((operation, nth) =>
      operation === "RTM_NEWTCLASS 1:11" && nth < 7 ? EPERM : 0,
    );
    const [first, second] = shape(kernel, FACTS, [job, other]);
    expect(first).toBeNull();
    expect(second).toMatchObject({
      errno: EPERM,
      operation: "RTM_NEWTCLASS 1:11",
      device: "fku0a640001",
      leftBehind: [],
    });
    const back = messages.slice(6);
    expect(
      back.every((message) => !("ifindex" in message) || message.ifindex !== TAP_IFINDEX),
    ).toBe(true);
    expect(back).toContainEqual(
      expect.objectContaining({ op: "qdisc.tbf", ifindex: 8, ...LOWER.tbf }),
    );
    expect(back.at(-1)).toEqual({ op: "link.set", ifindex: 8, alias: "old" });
  });

  test("tells what stayed when the former limits are refused, too, unless the TAP is gone", () => {
    const refusing = recordingKernel((operation) =>
      operation.startsWith("RTM_NEWTCLASS") ? EPERM : 0,
    ).kernel;
    expect(shape(refusing, FACTS, [job])[0]).toMatchObject({
      leftBehind: ["limits of fk0a640007"],
    });
    const gone = recordingKernel(() => ENODEV).kernel;
    expect(shape(gone, FACTS, [job])[0]).toMatchObject({ errno: ENODEV, leftBehind: [] });
  });
});
