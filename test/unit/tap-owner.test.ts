// Owners of TAPs: which can be given to which, what they are called, and where a lease keeps them.

import { fc, test } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import {
  canBecome,
  formatOwner,
  ownerOf,
  sameOwner,
  type TapOwner,
  toTunIds,
} from "../../src/identity/tap-owner.js";
import { formatAlias } from "../../src/lease/alias.js";
import { decodeLease, encodeLease, type Lease } from "../../src/lease/lease.js";

const UID: TapOwner = { uid: 1 };
const GID: TapOwner = { gid: 2 };
const BOTH: TapOwner = { uid: 1, gid: 2 };

describe("an owner", () => {
  test.each<[TapOwner, TapOwner, boolean]>([
    [UID, { uid: 7 }, true],
    [UID, BOTH, true],
    [UID, GID, false],
    [GID, BOTH, true],
    [GID, UID, false],
    [BOTH, { uid: 7, gid: 8 }, true],
    [BOTH, UID, false],
    [BOTH, GID, false],
    [{}, GID, true],
  ])("%o can become %o: %o", (from, to, can) => {
    expect(canBecome(from, to)).toBe(can);
  });

  test("is the kernel's ids under other names, 0 included", () => {
    for (const owner of [{}, UID, GID, BOTH, { uid: 0, gid: 0 }])
      expect(ownerOf(toTunIds(owner))).toEqual(owner);
    expect(toTunIds({ uid: 0, gid: 5 })).toEqual({ owner: 0, group: 5 });
  });

  test("is the same when both ids are, or both lack one", () => {
    expect(sameOwner(BOTH, { gid: 2, uid: 1 })).toBe(true);
    expect(sameOwner(UID, BOTH)).toBe(false);
    expect(sameOwner({}, { uid: 0 })).toBe(false);
  });

  test("is called by its ids", () => {
    expect([UID, GID, BOTH, {}].map(formatOwner)).toEqual([
      "uid 1",
      "gid 2",
      "uid 1 with gid 2",
      "everybody",
    ]);
  });
});

describe("a lease", () => {
  const ID = fc.nat(2 ** 32 - 2);
  const owner: fc.Arbitrary<TapOwner> = fc.oneof(
    fc.record({ uid: ID }),
    fc.record({ gid: ID }),
    fc.record({ uid: ID, gid: ID }),
  );
  const LEASE: Lease = {
    instanceId: "vm-1",
    instanceName: "alpha",
    ip: 0x0a640007,
    mac: 0x02000a640007,
    classMinor: 0x10,
    limits: { download: null, upload: null },
    createdMs: 1_700_000_000_000,
    generation: 1,
    blocked: false,
  };

  test.prop([owner])("is read back with its owner", (one) => {
    const lease = { ...LEASE, owner: one };
    expect(decodeLease(encodeLease(lease))).toEqual(lease);
  });

  test.prop([owner])("leaves no owner in a buffer that is used again", (one) => {
    const buffer = encodeLease({ ...LEASE, owner: one });
    expect(encodeLease(LEASE, buffer)).toEqual(encodeLease(LEASE));
  });

  test("without an owner is what a former release writes: zeros there", () => {
    expect(encodeLease(LEASE).subarray(276)).toEqual(Buffer.alloc(12));
    expect(decodeLease(encodeLease(LEASE))).toEqual(LEASE);
  });

  test.prop([owner])("has the alias that a former release reads, byte for byte", (one) => {
    expect(formatAlias({ ...LEASE, owner: one })).toBe(formatAlias(LEASE));
  });
});
