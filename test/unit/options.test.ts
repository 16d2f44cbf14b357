// Options and requests: defaults, and every refusal in the one form, naming the option and what
// came.

import { describe, expect, test } from "vitest";
import { type NetworkOptions, resolveOptions } from "../../src/options.js";
import {
  type AllocationRequest,
  checkLabel,
  type RecreateOptions,
  resolveRecreate,
  resolveRequest,
  resolveUpdate,
} from "../../src/request.js";

const GIVEN = { bridge: "vmbr0", subnet: "10.100.0.0/16" };
const OPTIONS = resolveOptions(GIVEN);
const config = (message: string) =>
  expect.objectContaining({
    code: "ERR_FORKNET_CONFIG",
    message: expect.stringMatching(new RegExp(`^Expected .*${message}`)),
  });
const text = (literal: string) => literal.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

describe("openNetwork's options", () => {
  test("have defaults for everything but bridge and subnet", () => {
    expect(OPTIONS).toEqual({
      bridge: "vmbr0",
      subnet: expect.objectContaining({ prefixLength: 16, gateway: 0x0a640001 }),
      dns: ["1.1.1.1"],
      isolated: true,
      translate: false,
      uploadCapacity: 10e9,
      uploadBurstMultiplier: 4,
      downloadBurstMultiplier: 4,
      downloadLatencyMs: 50,
      uploadLatencyMs: 50,
      unshaped: "limit",
      baseLimit: 10e6,
      poolSize: 32,
      tap: { owner: process.geteuid?.(), vnetHdr: true, multiQueue: false },
      stateDir: "/var/lib/forknet/vmbr0",
    });
  });

  test("take undefined as left out", () => {
    const all = {
      gateway: undefined,
      dns: undefined,
      pool: undefined,
      tap: undefined,
      nat: undefined,
      stateDir: undefined,
    };
    expect(resolveOptions({ ...GIVEN, ...all } as unknown as NetworkOptions)).toEqual(OPTIONS);
  });

  test("are read", () => {
    const tap = { owner: 0, group: 36, vnetHdr: false, multiQueue: true };
    const given = {
      gateway: "10.100.0.9",
      dns: [],
      isolated: false,
      unshaped: "block",
      pool: { size: 0 },
      tap,
      stateDir: "/tmp/x",
      nat: false,
    } as const;
    expect(resolveOptions({ ...GIVEN, ...given, dns: ["9.9.9.9", "1.0.0.1"] })).toMatchObject({
      subnet: { gateway: 0x0a640009 },
      dns: ["9.9.9.9", "1.0.0.1"],
      isolated: false,
      unshaped: "block",
      poolSize: 0,
      tap,
      stateDir: "/tmp/x",
    });
  });

  test.each([
    [{ group: 36 }, { group: 36 }],
    [{ owner: 7 }, { owner: 7 }],
    [
      { owner: 7, group: 36 },
      { owner: 7, group: 36 },
    ],
    [{ owner: undefined, group: undefined }, { owner: process.geteuid?.() }],
  ])("set an owner only where neither owner nor group is given: %o", (tap, ids) => {
    const { tap: resolved } = resolveOptions({ ...GIVEN, tap } as NetworkOptions);
    expect(resolved).toEqual({ ...ids, vnetHdr: true, multiQueue: false });
  });

  test.each([
    [{ bridge: undefined }, "an interface name .* for bridge, but received undefined"],
    [{ bridge: "" }, "for bridge, but received ''"],
    [
      { bridge: "a23456789012345x" },
      "of 1 to 15 characters .* for bridge, but received 'a23456789012345x'",
    ],
    [{ bridge: "vm/br0" }, "for bridge"],
    [{ bridge: "vm br0" }, "for bridge"],
    [{ bridge: "vmbr0\n" }, "for bridge"],
    [{ bridge: "vm\0" }, "for bridge"],
    [{ bridge: "vm:0" }, "for bridge"],
    [{ bridge: "vm%d" }, "for bridge"],
    [{ bridge: "brücke" }, "for bridge"],
    [{ bridge: ".." }, "for bridge"],
    [{ bridge: "all" }, "for bridge"],
    [{ bridge: "default" }, "for bridge"],
    [{ bridge: 7 }, "for bridge, but received 7"],
    [{ subnet: "10.0.0.0/30" }, "for subnet, but received '10.0.0.0/30'"],
    [
      { gateway: "10.101.0.1" },
      "a usable address inside 10.100.0.0/16 for gateway, but received '10.101.0.1'",
    ],
    [{ dns: "1.1.1.1" }, "an array of IPv4 addresses for dns, but received '1.1.1.1'"],
    [{ dns: ["one"] }, "for dns, but received 'one'"],
    [{ isolated: "yes" }, "true or false for isolated, but received 'yes'"],
    [{ uploadCapacity: "10mbps" }, "for uploadCapacity, but received '10mbps'"],
    [
      { uploadBurstMultiplier: 0.5 },
      "a number from 1 to 1000 for uploadBurstMultiplier, but received 0.5",
    ],
    [{ downloadBurstMultiplier: Number.NaN }, "for downloadBurstMultiplier, but received NaN"],
    [
      { downloadLatencyMs: "50" },
      "a number from 1 to 10000 for downloadLatencyMs, but received '50'",
    ],
    [
      { unverifiedChecksums: "refuse" },
      '"drop" or "accept" for unverifiedChecksums, but received \'refuse\'',
    ],
    [{ mtu: 67 }, "a whole number from 68 to 65521 for mtu, but received 67"],
    [{ mtu: 65_522 }, "for mtu, but received 65522"],
    [{ mtu: 1500.5 }, "for mtu, but received 1500.5"],
    [{ mtu: "1500" }, "for mtu, but received '1500'"],
    [{ unshaped: "drop" }, '"limit" or "block" for unshaped, but received \'drop\''],
    [{ baseLimit: 0 }, "for baseLimit, but received 0"],
    [{ pool: 5 }, "an object for pool, but received 5"],
    [{ pool: { size: 1.5 } }, "a whole number from 0 to 512 for pool.size, but received 1.5"],
    [{ pool: { size: 513 } }, "for pool.size, but received 513"],
    [{ pool: { size: 1, max: 2 } }, "only the options size for pool, but received 'max'"],
    [{ tap: { owner: -1 } }, "for tap.owner, but received -1"],
    [{ tap: { group: 2 ** 32 - 1 } }, "for tap.group, but received 4294967295"],
    [{ tap: { vnetHdr: 1 } }, "for tap.vnetHdr, but received 1"],
    [
      { tap: { queues: 2 } },
      "only the options group, multiQueue, owner, vnetHdr for tap, but received 'queues'",
    ],
    [{ tap: null }, "an object for tap, but received null"],
    [{ stateDir: "state" }, "an absolute path for stateDir, but received 'state'"],
    [{ stateDir: null }, "an absolute path for stateDir, but received null"],
    [{ nat: true }, "for nat, but received true"],
    [{ subnets: [] }, "only the options .* for openNetwork, but received 'subnets'"],
  ])("are refused as %o", (bad, message) => {
    expect(() => resolveOptions({ ...GIVEN, ...bad } as unknown as NetworkOptions)).toThrow(
      config(message),
    );
  });

  test.each([null, undefined, "vmbr0", [GIVEN]])("must be an object, not %o", (options) => {
    expect(() => resolveOptions(options as unknown as NetworkOptions)).toThrow(
      config("an object for openNetwork"),
    );
  });

  test("take a bridge name of 15 characters", () => {
    expect(resolveOptions({ ...GIVEN, bridge: "a23456789012345" }).bridge).toBe("a23456789012345");
  });
});

describe("a request", () => {
  const request: AllocationRequest = { instanceId: "vm-1", instanceName: "web.0_A" };
  const present = { download: 5e6, upload: { rate: 1e6, ceil: 9e6 } };

  test("is read, with exact wishes", () => {
    const wishes = {
      ip: "10.100.3.4",
      mac: "02:00:00:00:00:09",
      tapName: "tap0",
      download: "20mbit",
      upload: { rate: "1mbit", ceil: "2mbit" },
    };
    expect(resolveRequest({ ...request, ...wishes }, OPTIONS)).toEqual({
      ...request,
      ip: 0x0a640304,
      mac: 0x020000000009,
      tapName: "tap0",
      limits: { download: 20e6, upload: { rate: 1e6, ceil: 2e6 } },
    });
    expect(resolveRequest(request, OPTIONS)).toEqual({
      ...request,
      limits: { download: null, upload: null },
    });
  });

  const BAD_LABELS = ["", "a".repeat(65), "a/b", "a\n", "a\0b", "a b", "ä", 7, null, undefined];

  test.each(BAD_LABELS)("is refused with %o as id or name", (label) => {
    const expected = (option: string) =>
      config(`1 to 64 of A-Z a-z 0-9 . _ - for ${option}, but received `.replace(/[.]/g, "\\."));
    expect(() => resolveRequest({ ...request, instanceId: label as string }, OPTIONS)).toThrow(
      expected("instanceId"),
    );
    expect(() => resolveRequest({ ...request, instanceName: label as string }, OPTIONS)).toThrow(
      expected("instanceName"),
    );
  });

  test("takes labels of 1 and of 64 characters", () => {
    for (const label of ["a", "a".repeat(64), ".", "-", "__proto__"])
      expect(checkLabel(label, "instanceId")).toBe(label);
  });

  test.each(["10.100.0.0", "10.100.255.255", "10.100.0.1", "10.99.255.255", "10.101.0.0"])(
    "is refused with the address %s",
    (ip) => {
      const message = `a guest's address inside ${text("10.100.0.0/16")}, not its network, gateway or broadcast address for ip, but received '${ip}'`;
      expect(() => resolveRequest({ ...request, ip }, OPTIONS)).toThrow(config(message));
    },
  );

  test.each([
    [{ mac: "ff:ff:ff:ff:ff:ff" }, "for mac"],
    [{ tapName: "a23456789012345x" }, "for tapName"],
    [{ download: "fast" }, "for download"],
    [{ upload: { rate: "2mbit", ceil: "1mbit" } }, "for upload.ceil"],
    [{ name: "x" }, "only the options .* for createAllocation, but received 'name'"],
  ])("is refused with %o", (bad, message) => {
    expect(() => resolveRequest({ ...request, ...bad }, OPTIONS)).toThrow(config(message));
  });

  test.each<[AllocationRequest["owner"], object]>([
    [0, { uid: 0 }],
    [1000, { uid: 1000 }],
    [{ uid: 1000 }, { uid: 1000 }],
    [{ gid: 2 ** 32 - 2 }, { gid: 2 ** 32 - 2 }],
    [
      { uid: 1000, gid: 0 },
      { uid: 1000, gid: 0 },
    ],
  ])("is read with the owner %o", (owner, expected) => {
    expect(resolveRequest({ ...request, owner } as AllocationRequest, OPTIONS)).toMatchObject({
      owner: expected,
    });
    expect(resolveRecreate({ owner } as RecreateOptions, present, OPTIONS)).toMatchObject({
      owner: expected,
    });
  });

  test.each([
    [-1, "a whole number from 0 to 4294967294 for owner, but received -1"],
    [2 ** 32 - 1, "for owner, but received 4294967295"],
    [1.5, "for owner, but received 1.5"],
    ["root", "a uid or an object with uid, gid or both for owner, but received 'root'"],
    [null, "for owner, but received null"],
    [{}, "a uid or an object with uid, gid or both for owner, but received {}"],
    [{ uid: undefined }, "for owner, but received"],
    [{ uid: -1 }, "for owner.uid, but received -1"],
    [{ uid: 1, gid: 2 ** 32 - 1 }, "for owner.gid, but received 4294967295"],
    [{ gid: "36" }, "for owner.gid, but received '36'"],
    [{ user: 1 }, "only the options gid, uid for owner, but received 'user'"],
    [[1], "an object for owner"],
  ])("is refused with the owner %o", (owner, message) => {
    const expected = config(text(message));
    expect(() => resolveRequest({ ...request, owner } as never, OPTIONS)).toThrow(expected);
    expect(() => resolveRecreate({ owner } as never, present, OPTIONS)).toThrow(expected);
  });

  test("to restore or to change lays its limits over the present ones", () => {
    expect(resolveRecreate({}, present, OPTIONS)).toEqual({ limits: present });
    expect(resolveRecreate({ tapName: "tap0", download: 8 }, present, OPTIONS)).toEqual({
      limits: { ...present, download: 8 },
      tapName: "tap0",
    });
    expect(resolveUpdate({ upload: "2mbit" }, present, OPTIONS)).toEqual({
      download: 5e6,
      upload: { rate: 2e6, ceil: 8e6 },
    });
    expect(resolveUpdate({}, present, OPTIONS)).toEqual(present);
  });

  test("to restore or to change is refused with what it cannot have", () => {
    expect(() => resolveRecreate({ ip: "10.100.0.5" } as never, present, OPTIONS)).toThrow(
      config("for recreateAllocation, but received 'ip'"),
    );
    expect(() => resolveUpdate({ tapName: "x" } as never, present, OPTIONS)).toThrow(
      config("for updateLimits, but received 'tapName'"),
    );
    expect(() => resolveUpdate(null as never, present, OPTIONS)).toThrow(
      config("an object for updateLimits, but received null"),
    );
    expect(() => resolveRecreate({ tapName: "" }, present, OPTIONS)).toThrow(
      config("for tapName, but received ''"),
    );
  });
});
