// How a refusal becomes an error: its code, its words, and the fields a caller matches on.

import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import {
  configError,
  errnoName,
  errorFromFailure,
  ForknetError,
  type KernelFailure,
} from "../../src/errors.js";
import { Guarantees } from "../../src/groups/guarantees.js";

const failure = (fields: Partial<KernelFailure>): KernelFailure => ({
  operation: "RTM_NEWTCLASS 1:a0",
  device: "fku0a640001",
  errno: 0,
  text: "",
  leftBehind: [],
  ...fields,
});

test("an errno that is none has a name, too", () => {
  for (const errno of [0, -0, -5, Number.NaN, 2 ** 31, 1.5])
    expect(errnoName(errno)).toMatch(/^errno /);
});

describe("a refusal of the kernel", () => {
  test("says the operation, the device, the errno and the kernel's words", () => {
    const error = errorFromFailure(failure({ errno: 17, text: "Class exists" }));
    expect(error).toBeInstanceOf(ForknetError);
    expect(error).toBeInstanceOf(Error);
    expect(error.message).toBe("RTM_NEWTCLASS 1:a0 on fku0a640001: EEXIST (Class exists)");
    expect(Object.fromEntries(Object.entries(error))).toEqual({
      name: "ForknetError",
      code: "ERR_FORKNET_KERNEL",
      errno: -17,
      errnoName: "EEXIST",
      syscall: "RTM_NEWTCLASS",
      device: "fku0a640001",
      kernelMessage: "Class exists",
    });
  });

  test("leaves out what there is not", () => {
    const error = errorFromFailure(failure({ errno: 12, device: "" }));
    expect(error.message).toBe("RTM_NEWTCLASS 1:a0: ENOMEM");
    expect(Object.keys(error)).not.toContain("device");
    expect(inspect(error)).not.toContain("undefined");
  });

  test.each([
    [
      { errno: 1 },
      "PERMISSION",
      "RTM_NEWTCLASS 1:a0 on fku0a640001: EPERM: this needs CAP_NET_ADMIN",
    ],
    [
      { errno: 1, operation: "BPF", device: "" },
      "PERMISSION",
      "BPF: EPERM: this needs CAP_BPF and CAP_NET_ADMIN",
    ],
    [
      { errno: 13, operation: "BPF", device: "" },
      "PERMISSION",
      "BPF: EACCES: this needs CAP_BPF and CAP_NET_ADMIN",
    ],
    [
      { errno: 1, operation: "TUNSETIFF", device: "tap0" },
      "PERMISSION",
      "TUNSETIFF on tap0: EPERM: this needs CAP_NET_ADMIN and /dev/net/tun",
    ],
    [
      { errno: 2, operation: "open /dev/net/tun", device: "" },
      "PERMISSION",
      "open /dev/net/tun: ENOENT: /dev/net/tun is missing (modprobe tun, or give the container the device)",
    ],
    [
      { errno: 19, operation: "open /dev/net/tun", device: "" },
      "PERMISSION",
      "open /dev/net/tun: ENODEV: /dev/net/tun is missing (modprobe tun, or give the container the device)",
    ],
    [
      { errno: 54, operation: "RTM_NEWLINK master", device: "vmbr0" },
      "EXHAUSTED",
      "bridge vmbr0 is full (1023 ports)",
    ],
    [
      { errno: 2, operation: "RTM_NEWQDISC htb", text: "Specified qdisc kind is unknown" },
      "UNSUPPORTED",
      "RTM_NEWQDISC htb on fku0a640001: ENOENT (Specified qdisc kind is unknown): the kernel lacks this feature",
    ],
    [
      { errno: 2, operation: "RTM_NEWTFILTER", text: "TC classifier not found" },
      "UNSUPPORTED",
      "RTM_NEWTFILTER on fku0a640001: ENOENT (TC classifier not found): the kernel lacks this feature",
    ],
    [
      { errno: 95 },
      "UNSUPPORTED",
      "RTM_NEWTCLASS 1:a0 on fku0a640001: EOPNOTSUPP: the kernel lacks this feature",
    ],
    [
      { errno: 2, text: "Failed to find specified qdisc" },
      "KERNEL",
      "RTM_NEWTCLASS 1:a0 on fku0a640001: ENOENT (Failed to find specified qdisc)",
    ],
    [{ errno: 2 }, "KERNEL", "RTM_NEWTCLASS 1:a0 on fku0a640001: ENOENT"],
    [{ errno: 110, operation: "recvmsg", device: "" }, "KERNEL", "recvmsg: ETIMEDOUT"],
    [
      { operation: "lane", device: "", text: "Error: worker gone" },
      "KERNEL",
      "lane (Error: worker gone)",
    ],
    [
      { code: "ERR_FORKNET_CONFLICT", errno: 16, text: "a link named tap0 exists" } as const,
      "CONFLICT",
      "a link named tap0 exists",
    ],
  ] as const)("%o is %s", (fields, code, message) => {
    const error = errorFromFailure(failure(fields));
    expect(error.code).toBe(`ERR_FORKNET_${code}`);
    expect(error.message).toBe(message);
  });

  test("whose undo failed is ROLLBACK, whatever it was, and lists what is left", () => {
    const leftBehind = ["TAP fk0a640007", "class on fku0a640001"];
    const error = errorFromFailure(failure({ errno: 1, leftBehind, code: "ERR_FORKNET_CONFLICT" }));
    expect(error).toMatchObject({ code: "ERR_FORKNET_ROLLBACK", errnoName: "EPERM", leftBehind });
    expect(error.message).toBe(
      "RTM_NEWTCLASS 1:a0 on fku0a640001: EPERM; undoing it failed too, left behind: TAP fk0a640007, class on fku0a640001",
    );
  });
});

test.each([
  [1, "EPERM"],
  [17, "EEXIST"],
  [54, "EXFULL"],
  [95, "EOPNOTSUPP"],
  [105, "ENOBUFS"],
  [999, "errno 999"],
])("errno %d is called %s", (errno, name) => {
  expect(errnoName(errno)).toBe(name);
});

describe("a refused option", () => {
  test("says what was expected, for what, and what came", () => {
    const error = configError("pool.size", "a whole number", -1);
    expect(error.message).toBe("Expected a whole number for pool.size, but received -1");
    expect(error.code).toBe("ERR_FORKNET_CONFIG");
  });

  test("is told on one short line, whatever came", () => {
    for (const value of [
      "x".repeat(10_000),
      { a: { b: { c: 1 } } },
      Array.from({ length: 5000 }, () => 1),
    ]) {
      const { message } = configError("x", "y", value);
      expect(message.length).toBeLessThan(1000);
      expect(message).not.toContain("\n");
    }
  });

  test("keeps its cause", () => {
    const cause = new Error("why");
    expect(new ForknetError("ERR_FORKNET_ABORTED", "text", { cause })).toMatchObject({
      cause,
      name: "ForknetError",
    });
    expect(Object.keys(new ForknetError("ERR_FORKNET_ABORTED", "text"))).not.toContain("cause");
  });
});

describe("guarantees", () => {
  test("are given until the capacity is reached, exactly", () => {
    const guarantees = new Guarantees(100);
    guarantees.change(0, 60);
    expect(() => guarantees.change(0, 41)).toThrow(
      expect.objectContaining({
        code: "ERR_FORKNET_EXHAUSTED",
        message: "uploadCapacity 100bit cannot guarantee 41bit more: 60bit are given out",
      }),
    );
    guarantees.change(0, 40);
    expect(() => guarantees.change(40, 41)).toThrow(
      expect.objectContaining({ code: "ERR_FORKNET_EXHAUSTED" }),
    );
    guarantees.change(60, 0);
    guarantees.change(40, 100);
    expect(() => guarantees.change(0, 1)).toThrow(
      expect.objectContaining({ code: "ERR_FORKNET_EXHAUSTED" }),
    );
  });

  test("that are adopted count, and may be lowered though they are too many", () => {
    const guarantees = new Guarantees(100);
    guarantees.adopt(150);
    guarantees.change(150, 120);
    expect(() => guarantees.change(120, 121)).toThrow(
      expect.objectContaining({ code: "ERR_FORKNET_EXHAUSTED" }),
    );
    guarantees.change(120, 0);
    guarantees.change(0, 100);
  });
});
