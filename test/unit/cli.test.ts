// What the command makes of figures and words: quantities, limits as they are typed, tables, order,
// rates between two looks, exit codes, colours.

import { describe, expect, test } from "vitest";
import { exitCodeOf } from "../../src/cli/exit.js";
import {
  formatBytes,
  formatDownload,
  formatRate,
  formatUpload,
  readDownload,
  readUpload,
} from "../../src/cli/quantity.js";
import { isColourful } from "../../src/cli/style.js";
import { formatTable } from "../../src/cli/table.js";
import { cut } from "../../src/cli/terminal-line.js";
import { throughputBetween } from "../../src/cli/throughput.js";
import { sortGuests } from "../../src/cli/top-order.js";
import { fromPlainError, LineReader, toPlainError } from "../../src/control/protocol.js";
import type { GuestStatus, NetworkStatus } from "../../src/control/status.js";
import { ForknetError } from "../../src/errors.js";

describe("quantities", () => {
  test.each([
    [0, "0 bit/s"],
    [999, "999 bit/s"],
    [999.6, "1.00 kbit/s"],
    [1234, "1.23 kbit/s"],
    [9_996_000, "10.0 Mbit/s"],
    [99_960_000, "100 Mbit/s"],
    [12_345_678_900, "12.3 Gbit/s"],
    [5e15, "5000 Tbit/s"],
  ])("%d bits per second are %s", (bits, text) => {
    expect(formatRate(bits)).toBe(text);
  });

  test("bytes have the same steps", () => {
    expect(formatBytes(1500)).toBe("1.50 kB");
  });

  test("limits are shown as they are typed", () => {
    const limits = { download: 7_000_000, upload: { rate: 1_000_000, ceil: 4_000_000 } };
    expect(readDownload(formatDownload(limits))).toBe("7mbit");
    expect(readUpload(formatUpload(limits))).toEqual({ rate: "1mbit", ceil: "4mbit" });
    expect(formatDownload({ download: null, upload: null })).toBe("max");
    expect(readDownload("max")).toBeNull();
    expect(readUpload("unlimited")).toBeNull();
    expect(readUpload("5mbit")).toBe("5mbit");
  });

  test("what makes no sense is left to whoever checks it", () => {
    expect(readUpload("1mbit/2mbit/3mbit")).toEqual({ rate: "1mbit", ceil: "2mbit/3mbit" });
    expect(readUpload("")).toBe("");
    expect(readUpload("/")).toEqual({ rate: "", ceil: "" });
  });
});

describe("tables", () => {
  test("colours take no room", () => {
    const rows = [
      ["\x1b[32ma\x1b[39m", 7],
      ["bbb", 10],
    ];
    const lines = formatTable(["id", "n"], rows).split("\n");
    expect(lines).toEqual(["id    n", "\x1b[32ma\x1b[39m     7", "bbb  10"]);
  });

  test("a line that is too long is cut by what is shown", () => {
    const coloured = "\x1b[32mabc\x1b[39m";
    expect(cut(coloured, 3)).toBe(coloured);
    expect(cut(coloured, 2)).toBe("ab");
  });

  test("colours are for terminals that want them", () => {
    const terminal = { isTTY: true };
    expect(isColourful(terminal, {})).toBe(true);
    expect(isColourful(terminal, { NO_COLOR: "" })).toBe(true);
    expect(isColourful(terminal, { NO_COLOR: "1" })).toBe(false);
    expect(isColourful(terminal, { TERM: "dumb" })).toBe(false);
    expect(isColourful({}, {})).toBe(false);
  });
});

function guest(instanceId: string, downBytes: number, upBytes: number, drops = 0): GuestStatus {
  const none = { packets: 0, drops, overlimits: 0, backlogBytes: 0 };
  const traffic = {
    download: { ...none, bytes: downBytes },
    upload: { ...none, bytes: upBytes },
    guardDrops: 0,
  };
  return { instanceId, ifindex: 5, traffic } as GuestStatus;
}

function at(readMs: number, guests: GuestStatus[], source = "agent"): NetworkStatus {
  return { readMs, guests, source } as NetworkStatus;
}

describe("throughput", () => {
  test("is the difference over the time between", () => {
    const now = throughputBetween(at(1000, [guest("a", 0, 10)]), at(1500, [guest("a", 1000, 10)]));
    expect(now.get("a")).toEqual({ download: 16_000, upload: 0 });
  });

  const unknown = { download: null, upload: null };
  test.each([
    ["nothing came before", undefined, at(2, [guest("a", 1, 1)])],
    ["the guest is new", at(1, []), at(2, [guest("a", 1, 1)])],
    ["its TAP is another", at(1, [guest("a", 0, 0)]), at(2, [{ ...guest("a", 1, 1), ifindex: 6 }])],
    ["it has no TAP", at(1, [guest("a", 0, 0)]), at(2, [{ ...guest("a", 1, 1), traffic: null }])],
    ["the counters began anew", at(1, [guest("a", 5, 5)]), at(2, [guest("a", 1, 1)])],
    ["another tells", at(1, [guest("a", 0, 0)]), at(2, [guest("a", 1, 1)], "kernel")],
    ["no time has passed", at(1, [guest("a", 0, 0)]), at(1, [guest("a", 1, 1)])],
  ])("is not known when %s", (_, before, after) => {
    expect(throughputBetween(before, after).get("a")).toEqual(unknown);
  });
});

describe("top", () => {
  const guests = [guest("vm-10", 0, 0, 3), guest("vm-2", 0, 0), guest("vm-1", 0, 0)];
  const now = new Map([
    ["vm-1", { download: 5, upload: 1 }],
    ["vm-2", { download: 5, upload: 9 }],
    ["vm-10", { download: null, upload: null }],
  ]);
  test.each([
    ["down", ["vm-1", "vm-2", "vm-10"]],
    ["up", ["vm-2", "vm-1", "vm-10"]],
    ["drops", ["vm-10", "vm-1", "vm-2"]],
    ["id", ["vm-1", "vm-2", "vm-10"]],
  ] as const)("sorted by %s", (key, ids) => {
    expect(sortGuests(guests, now, key).map(({ instanceId }) => instanceId)).toEqual(ids);
  });
});

describe("errors", () => {
  test("cross the socket with all their fields", () => {
    const fields = { errno: -17, errnoName: "EEXIST", syscall: "bind", holderPid: 7 };
    const error = new ForknetError("ERR_FORKNET_CONFLICT", "taken", fields);
    const back = fromPlainError(JSON.parse(JSON.stringify(toPlainError(error))));
    expect(back).toMatchObject({ code: "ERR_FORKNET_CONFLICT", message: "taken", ...fields });
  });

  test.each([
    [null],
    [7],
    [{}],
    [{ code: "EVIL", message: "x" }],
    [{ code: "ERR_FORKNET_KERNEL" }],
  ])("that make no sense (%o) become one that says so", (plain) => {
    expect(fromPlainError(plain)).toMatchObject({
      code: "ERR_FORKNET_KERNEL",
      message: "the agent's error makes no sense",
    });
  });

  test.each([
    ["ERR_FORKNET_CONFIG", 2],
    ["ERR_FORKNET_NOT_FOUND", 3],
    ["ERR_FORKNET_PERMISSION", 4],
    ["ERR_FORKNET_CONFLICT", 5],
    ["ERR_FORKNET_KERNEL", 1],
  ] as const)("%s is exit code %d", (code, exit) => {
    expect(exitCodeOf(new ForknetError(code, ""))).toBe(exit);
  });
});

describe("lines", () => {
  test("are put together from pieces, and a character may be cut in two", () => {
    const reader = new LineReader(10);
    const bytes = Buffer.from("aä\nb\nc");
    expect(reader.push(bytes.subarray(0, 2))).toEqual([]);
    expect(reader.push(bytes.subarray(2))).toEqual(["aä", "b"]);
    expect(reader.push(Buffer.from("\n"))).toEqual(["c"]);
  });

  test("have a bound, to the byte", () => {
    expect(new LineReader(3).push(Buffer.from("abc\nabc\n"))).toEqual(["abc", "abc"]);
    expect(() => new LineReader(3).push(Buffer.from("abcd\n"))).toThrow(RangeError);
    const reader = new LineReader(3);
    reader.push(Buffer.from("abc"));
    expect(() => reader.push(Buffer.from("d"))).toThrow(RangeError);
  });
});
