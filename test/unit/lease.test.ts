// A lease as bytes of the kernel map and as an alias: both are read back as they were, and the
// bytes lie where the BPF programs look for them.

import { readFileSync } from "node:fs";
import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import {
  addressInAlias,
  classInAlias,
  formatAlias,
  formatSlotAlias,
  MOST_LABEL_CHARACTERS,
  MOST_TRANSLATED_LABEL_CHARACTERS,
  parseAlias,
} from "../../src/lease/alias.js";
import {
  decodeLease,
  encodeLease,
  LEASE_BYTES,
  LEASE_VERSION,
  type Lease,
} from "../../src/lease/lease.js";

const ALIAS_BYTES = 255;
const LARGEST = Number.MAX_SAFE_INTEGER;

const label = fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/);
const bits = fc.integer({ min: 8, max: LARGEST });
const upload = fc
  .tuple(bits, bits)
  .map(([a, b]) => ({ rate: Math.min(a, b), ceil: Math.max(a, b) }));

const base: fc.Arbitrary<Lease> = fc.record({
  instanceId: label,
  instanceName: label,
  ip: fc.nat(0xffffffff),
  mac: fc.integer({ min: 1, max: 2 ** 40 - 1 }),
  classMinor: fc.integer({ min: 0x10, max: 0x3ffe }),
  limits: fc.record({ download: fc.option(bits), upload: fc.option(upload) }),
  createdMs: fc.nat(LARGEST),
  createdBootMs: fc.integer({ min: 1, max: LARGEST }),
  generation: fc.nat(0xffffffff),
  blocked: fc.boolean(),
});

/** In a group, with labels as long as that allows, or in none. */
const lease: fc.Arbitrary<Lease> = fc.tuple(base, fc.option(label)).map(([one, group]) => {
  const { instanceId, instanceName } = one;
  if (group === null) return one;
  const most = Math.max(MOST_LABEL_CHARACTERS - instanceId.length - instanceName.length, 0);
  return most === 0 ? one : { ...one, group: group.slice(0, most) };
});

const mac = fc.nat(2 ** 48 - 1);
const inner = fc.record({
  ip: fc.nat(0xffffffff),
  mac,
  gateway: fc.nat(0xffffffff),
  gatewayMac: mac,
});

/** Translated, with labels as long as that allows. */
const translated: fc.Arbitrary<Lease> = fc.tuple(base, inner).map(([one, guest]) => {
  const most = MOST_TRANSLATED_LABEL_CHARACTERS / 2;
  const [instanceId, instanceName] = [one.instanceId, one.instanceName].map((label) =>
    label.slice(0, most),
  ) as [string, string];
  return { ...one, instanceId, instanceName, guest };
});

const FULL: Lease = {
  instanceId: "i".repeat(64),
  instanceName: "n".repeat(64),
  ip: 0x0a640007,
  mac: 0x02000a640007,
  classMinor: 0x3abc,
  limits: {
    download: 0x0011223344556677,
    upload: { rate: 0x0001020304050607, ceil: 0x0002030405060708 },
  },
  group: "g".repeat(64),
  guest: { ip: 0xa9fe4d02, mac: 0x060000000002, gateway: 0xa9fe4d01, gatewayMac: 0x0200a9fe4d01 },
  owner: { uid: 0x01020303, gid: 0xfffffffe },
  createdMs: 0x0000019112345678,
  createdBootMs: 0x0000000587654321,
  generation: 0xdeadbeef,
  blocked: true,
};

describe("the binary lease", () => {
  test.prop([fc.oneof(lease, translated)])("is read back as it was", (one) => {
    expect(decodeLease(encodeLease(one))).toEqual(one);
  });

  test.prop([lease, lease])(
    "leaves nothing of the lease before in a buffer that is used again",
    (before, after) => {
      const buffer = encodeLease(before);
      expect(encodeLease(after, buffer)).toBe(buffer);
      expect(buffer).toEqual(encodeLease(after));
    },
  );

  /** Sizes of the C types of layout.h, in bytes. */
  const SIZES: Record<string, number> = {
    __u8: 1,
    char: 1,
    __u16: 2,
    __u32: 4,
    __be32: 4,
    __u64: 8,
  };

  /** Offset and size of each field of `struct lease`, read out of the header. */
  function layout(): Map<string, { at: number; bytes: number }> {
    const header = readFileSync(new URL("../../native/bpf/layout.h", import.meta.url), "utf8");
    const body = /struct lease \{([^}]*)\}/.exec(header)?.[1] ?? "";
    const fields = new Map<string, { at: number; bytes: number }>();
    let at = 0;
    for (const [, type, name, count] of body.matchAll(/^\s*(\w+) (\w+)(?:\[(\d+)\])?;/gm)) {
      const size = SIZES[type as string] as number;
      expect(at % size, `${name} is aligned`).toBe(0);
      fields.set(name as string, { at, bytes: size * Number(count ?? 1) });
      at += size * Number(count ?? 1);
    }
    expect(at).toBe(LEASE_BYTES);
    expect(header).toContain(`LEASE_VERSION = ${LEASE_VERSION},`);
    expect(header).toContain("LEASE_BLOCKED = 1,");
    expect(header).toContain("LEASE_TRANSLATED = 2,");
    return fields;
  }

  test("lies as native/bpf/layout.h says", () => {
    const bytes = encodeLease(FULL);
    const hex = Object.fromEntries(
      [...layout()].map(([name, { at, bytes: size }]) => [
        name,
        bytes.toString("hex", at, at + size),
      ]),
    );
    expect(hex).toEqual({
      version: "02000000",
      flags: "03000000",
      mac: "02000a640007",
      class_minor: "bc3a",
      ip: "0a640007",
      generation: "efbeadde",
      created_ms: "7856341291010000",
      download_bits: "7766554433221100",
      upload_bits: "0706050403020100",
      upload_ceil_bits: "0807060504030200",
      created_boot_ms: "2143658705000000",
      id: "69".repeat(64),
      name: "6e".repeat(64),
      group: "67".repeat(64),
      guest_ip: "a9fe4d02",
      guest_gateway: "a9fe4d01",
      guest_mac: "060000000002",
      guest_gateway_mac: "0200a9fe4d01",
      tap_uid_plus_1: "04030201",
      tap_gid_plus_1: "ffffffff",
      reserved2: "00000000",
    });
  });

  test("of an earlier release does not tell its age", () => {
    const bytes = encodeLease(FULL);
    bytes.fill(0, 56, 64);
    const { createdBootMs: _, ...ageless } = FULL;
    expect(decodeLease(bytes)).toEqual(ageless);
    expect(encodeLease(ageless)).toEqual(bytes);
  });

  test("of another version or size is none", () => {
    const bytes = encodeLease(FULL);
    expect(decodeLease(bytes.subarray(1))).toBeUndefined();
    expect(decodeLease(Buffer.concat([bytes, Buffer.alloc(8)]))).toBeUndefined();
    bytes.writeUInt32LE(1, 0);
    expect(decodeLease(bytes)).toBeUndefined();
    expect(decodeLease(Buffer.alloc(LEASE_BYTES))).toBeUndefined();
  });
});

/** Of a lease, what its alias tells. */
function inAlias(one: Lease): Lease {
  const { createdBootMs: _, ...lease } = one;
  return { ...lease, generation: 0, blocked: false };
}

describe("the alias", () => {
  test("tells a person what the lease holds", () => {
    const limits = { download: 20e6, upload: { rate: 5e6, ceil: 20e6 } };
    const one = {
      ...FULL,
      instanceId: "vm-1",
      instanceName: "web.0",
      classMinor: 0xa0,
      limits,
      createdMs: 1_700_000_000_000,
    };
    delete (one as Lease).group;
    delete (one as Lease).guest;
    expect(formatAlias(one)).toBe(
      "forknet1 vm-1 web.0 10.100.0.7 02:00:0a:64:00:07 1:a0 down=20mbit up=5mbit/20mbit at=loyw3v28",
    );
    expect(formatAlias({ ...one, limits: { download: null, upload: null } })).toContain(
      " down=max up=max at=",
    );
    expect(formatAlias({ ...one, group: "team-a" })).toMatch(/ at=loyw3v28 group=team-a$/);
    expect(formatAlias({ ...one, guest: FULL.guest as NonNullable<Lease["guest"]> })).toMatch(
      / at=loyw3v28 guest=a9fe4d02\/060000000002\/a9fe4d01\/0200a9fe4d01$/,
    );
  });

  test.prop([fc.oneof(lease, translated)])(
    "is read back as it was, but for what only the map knows",
    (one) => {
      expect(parseAlias(formatAlias(one))).toEqual(inAlias(one));
    },
  );

  test("fits the kernel's 255 bytes at its longest", () => {
    const limits = { download: LARGEST, upload: { rate: LARGEST, ceil: LARGEST } };
    const { group: _, owner: __, guest, ...others } = FULL;
    const alone = { ...others, ip: 0xffffffff, limits, createdMs: LARGEST };
    const short = { instanceId: "i".repeat(30), instanceName: "n".repeat(26) };
    const half = { instanceId: "i".repeat(36), instanceName: "n".repeat(35), group: "g" };
    const longestGuest = { ...alone, ...half, guest: guest as NonNullable<Lease["guest"]> };
    for (const longest of [alone, { ...alone, ...short, group: "g".repeat(64) }, longestGuest]) {
      const alias = formatAlias(longest);
      expect(Buffer.byteLength(alias)).toBeLessThanOrEqual(ALIAS_BYTES);
      expect(parseAlias(alias)).toEqual(inAlias(longest));
    }
  });

  test.prop([fc.oneof(lease, translated)])("is no longer than the longest", (one) => {
    expect(Buffer.byteLength(formatAlias(one))).toBeLessThanOrEqual(ALIAS_BYTES);
  });

  const good = "forknet1 a b 10.0.0.7 02:00:0a:00:00:07 1:10 down=max up=8bit/9bit at=1";

  test.each([
    ["empty", ""],
    ["of somebody else", "eth0 uplink"],
    ["of another version", good.replace("forknet1", "forknet2")],
    ["of a slot", formatSlotAlias(0x0a000007, 0x02000a000007, 0x10)],
    ["with a text in front", ` ${good}`],
    ["with a text behind", `${good} x`],
    ["with a line break", `${good}\n`],
    ["with an address of too many", good.replace("10.0.0.7", "10.0.0.256")],
    ["with leading zeros", good.replace("10.0.0.7", "010.0.0.7")],
    ["with dots only", good.replace("10.0.0.7", "....")],
    ["with a multicast MAC", good.replace("02:00", "01:00")],
    ["with an id of 65 characters", good.replace(" a ", ` ${"a".repeat(65)} `)],
    ["with a slash in the name", good.replace(" b ", " b/c ")],
    ["with a rate of nothing", good.replace("8bit", "0bit")],
    ["with a rate beyond all numbers", good.replace("8bit", `${"9".repeat(40)}bit`)],
    ["with the class of the capacity", good.replace("1:10", "1:1")],
    ["with a class before the guests'", good.replace("1:10", "1:f")],
    ["with a class behind the guests'", good.replace("1:10", "1:3fff")],
    ["with a class of five digits", good.replace("1:10", "1:10000")],
    ["with a proto", good.replace(" a ", " __proto__ ").replace("down=max", "down=constructor")],
  ])("%s is no lease", (_, alias) => {
    expect(parseAlias(good)).toBeDefined();
    expect(parseAlias(alias)).toBeUndefined();
  });

  test.prop([fc.string({ maxLength: 255 }), fc.nat(good.length)])(
    "that somebody damaged throws nothing",
    (text, at) => {
      for (const alias of [text, good.slice(0, at) + text, text + good.slice(at)]) {
        expect(() => parseAlias(alias)).not.toThrow();
        expect(() => addressInAlias(alias)).not.toThrow();
      }
    },
  );

  test.prop([lease])("gives the address away, that of a slot too", (one) => {
    expect(addressInAlias(formatAlias(one))).toBe(one.ip);
    expect(addressInAlias(formatSlotAlias(one.ip, one.mac, one.classMinor))).toBe(one.ip);
    expect(classInAlias(formatAlias(one))).toBe(one.classMinor);
    expect(classInAlias(formatSlotAlias(one.ip, one.mac, one.classMinor))).toBe(one.classMinor);
  });

  test.each([
    "forknet1 /bridge 10.100.0.0/16",
    "forknet1 /shaper vmbr0",
    "forknet1 a b 300.0.0.1 x",
    "",
    "x",
  ])("%o has none", (alias) => {
    expect(addressInAlias(alias)).toBeUndefined();
    expect(classInAlias(alias)).toBeUndefined();
  });
});
