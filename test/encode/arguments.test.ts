// What the addon refuses before anything is sent: every field of the wrong type, out of range, or
// missing. encode() checks as talk() does and needs no privileges.
import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { loadAddon } from "../../src/kernel/addon.js";
import type { LinkSet, Message } from "../../src/kernel/messages.js";
import { cases } from "./cases.js";

const addon = loadAddon();
const encode = (...messages: unknown[]) => addon.encode(messages as Message[]);

/** For the types of TypeScript the field is fine; for the addon it is not. */
const wrong = (message: Message, change: Record<string, unknown>) => () =>
  encode({ ...message, ...change });

const examples = new Map(cases.map(({ message }) => [message.op, message]));
const SETTINGS = { forwarding: true, sendRedirects: true };
examples.set("link.set", { ...(examples.get("link.set") as LinkSet), ...SETTINGS });
const OPTIONAL =
  "mac mtu txQueueLength alias multicastSnooping vlanFiltering addressGeneration master " +
  "up group name state isolated forwarding sendRedirects learning unicastFlood multicastFlood broadcastFlood gateway classid redirectTo";
const optional = new Set(OPTIONAL.split(" "));

describe.each([...examples])("%s", (op, message) => {
  const fields = Object.keys(message).filter((key) => key !== "op");

  it.each(fields)("refuses a wrong %s", (field) => {
    for (const value of [
      null,
      {},
      [],
      -1,
      1.5,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      2 ** 53,
      1n,
      () => 1,
    ]) {
      // Rates are the one number that may have a fraction.
      if (value === 1.5 && (field === "rate" || field === "ceil")) continue;
      expect(wrong(message, { [field]: value }), inspect(value)).toThrow(TypeError);
      expect(wrong(message, { [field]: value })).toThrow(
        new RegExp(`messages\\[0\\] \\(${op}\\)\\.${field}`),
      );
    }
    const other =
      typeof (message as unknown as Record<string, unknown>)[field] === "string" ? 1 : "1";
    expect(wrong(message, { [field]: other })).toThrow(TypeError);
  });

  it.each(fields.filter((field) => !optional.has(field)))("needs %s", (field) => {
    const mayBeAbsent = [
      "parent:qdisc.tbf",
      "handle:qdisc.delete",
      "handle:filter.delete",
    ].includes(`${field}:${op}`);
    const attempt = wrong(message, { [field]: undefined });
    if (mayBeAbsent) expect(attempt).not.toThrow();
    else if (op !== "link.deleteGroup" || field === "group") expect(attempt).toThrow(TypeError);
  });
});

describe("numbers at their limits", () => {
  const link = { op: "link.set", ifindex: 1 } as const;
  const htb = {
    op: "class.htb",
    verb: "add",
    ifindex: 1,
    parent: 0x10000,
    handle: 0x10001,
    rate: 1,
    ceil: 1,
    burstBytes: 1,
    cburstBytes: 1,
    quantumBytes: 1,
  } as const;

  it.each<[string, Message]>([
    ["the smallest of everything", htb],
    ["the largest rates", { ...htb, rate: Number.MAX_SAFE_INTEGER, ceil: Number.MAX_SAFE_INTEGER }],
    [
      "the largest sizes",
      { ...htb, burstBytes: 0xffffffff, cburstBytes: 0xffffffff, quantumBytes: 0xffffffff },
    ],
    ["rates with a fraction", { ...htb, rate: 1.9, ceil: 1.9 }],
    ["the largest ifindex", { ...link, ifindex: 0x7fffffff }],
    ["the largest MAC", { ...link, mac: 0xffffffffffff }],
    ["the smallest MAC", { ...link, mac: 0 }],
    ["an alias of 255 bytes", { ...link, alias: "x".repeat(255) }],
    ["a name of 15 bytes", { ...link, name: "x".repeat(15) }],
    ["group 0 in link.set", { ...link, group: 0 }],
    [
      "a default route",
      { op: "route.add", destination: 0, prefixLength: 0, gateway: 1, ifindex: 1 },
    ],
    ["a host route", { op: "route.add", destination: 0xffffffff, prefixLength: 32, ifindex: 1 }],
  ])("accepts %s", (_, message) => {
    expect(encode(message)).toHaveLength(1);
  });

  it.each<[string, Message]>([
    ["rates below one byte per second", { ...htb, rate: 0.999 }],
    ["a rate of 0", { ...htb, rate: 0 }],
    ["a ceil of 0", { ...htb, ceil: 0 }],
    ["no burst", { ...htb, burstBytes: 0 }],
    ["no quantum", { ...htb, quantumBytes: 0 }],
    ["a burst beyond 32 bits", { ...htb, burstBytes: 2 ** 32 }],
    ["class 0", { ...htb, handle: 0 }],
    ["ifindex 0", { ...link, ifindex: 0 }],
    ["an ifindex beyond 31 bits", { ...link, ifindex: 2 ** 31 }],
    ["a MAC beyond 48 bits", { ...link, mac: 2 ** 48 }],
    ["an alias of 256 bytes", { ...link, alias: "x".repeat(256) }],
    ["an alias of 128 two-byte characters", { ...link, alias: "é".repeat(128) }],
    ["an alias with NUL", { ...link, alias: "a\0b" }],
    ["a name of 16 bytes", { ...link, name: "x".repeat(16) }],
    ["an empty name", { ...link, name: "" }],
    ["a name with a slash", { ...link, name: "a/b" }],
    ["a name with a space", { ...link, name: "a b" }],
    ["a name with NUL", { ...link, name: "a\0b" }],
    ["a pattern for a name", { ...link, name: "tap%d" }],
    ["group 0 in link.deleteGroup", { op: "link.deleteGroup", group: 0 }],
    ["a prefix of 33", { op: "address.add", ifindex: 1, ip: 1, prefixLength: 33 }],
    ["an address beyond 32 bits", { op: "address.add", ifindex: 1, ip: 2 ** 32, prefixLength: 24 }],
    [
      "a bridge's setting on an ifb",
      { op: "link.create", name: "a", kind: "ifb", vlanFiltering: false },
    ],
    [
      "priority 0, which means every filter",
      { op: "filter.delete", ifindex: 1, parent: 1, priority: 0 },
    ],
  ])("refuses %s", (_, message) => {
    expect(() => encode(message)).toThrow(TypeError);
  });
});

describe("what is no message", () => {
  it.each([undefined, null, 1, "x", {}])("refuses %s instead of an array", (messages) => {
    expect(() => addon.encode(messages as unknown as Message[])).toThrow(
      /Expected an array for messages/,
    );
  });

  it.each([
    undefined,
    null,
    1,
    "x",
    [],
    () => 1,
    {},
    { op: 1 },
    { op: "link.destroy", ifindex: 1 },
  ])("refuses %s in the array", (message) => {
    expect(() => encode({ op: "link.delete", ifindex: 1 }, message)).toThrow(TypeError);
    expect(() => encode({ op: "link.delete", ifindex: 1 }, message)).toThrow(/messages\[1\]/);
  });

  it("shows what was received", () => {
    expect(() => encode({ op: "link.delete", ifindex: "seven" })).toThrow(
      "Expected a whole number from 1 to 2147483647 for messages[0] (link.delete).ifindex, but received 'seven'",
    );
  });

  it("lets an error of a getter through", () => {
    const message = {
      op: "link.delete",
      get ifindex(): number {
        throw new RangeError("mine");
      },
    };
    expect(() => encode(message)).toThrow(new RangeError("mine"));
  });
});

describe("options", () => {
  it("of the socket, of lists and of TAPs are checked before anything is opened", () => {
    const { Netlink, openTap } = addon as unknown as Record<
      string,
      (...values: unknown[]) => unknown
    > & {
      Netlink: new (options?: unknown) => { close(): void };
    };
    for (const options of [
      null,
      1,
      { receiveTimeoutMs: 0 },
      { receiveTimeoutMs: "1" },
      { receiveTimeoutMs: -1 },
    ]) {
      expect(() => new Netlink(options)).toThrow(TypeError);
    }
    for (const options of [
      undefined,
      null,
      {},
      { name: "" },
      { name: "x".repeat(16) },
      { name: "tap%d" },
    ]) {
      expect(() => openTap?.(options)).toThrow(TypeError);
    }
    for (const change of [
      { owner: -1 },
      { owner: 2 ** 32 - 1 },
      { group: "0" },
      { vnetHdr: 1 },
      { exclusive: null },
    ]) {
      expect(() => openTap?.({ name: "tap0", ...change })).toThrow(TypeError);
    }
  });
});
