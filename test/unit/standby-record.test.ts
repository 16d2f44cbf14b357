// The record of a guest in standby: its age is known where this boot's clock told it, and a record
// that tells none is whole all the same.

import { expect, it } from "vitest";
import { bootId } from "../../src/kernel/boot.js";
import { decodeStore, encodeLine, encodeStore } from "../../src/lease/standby-record.js";
import { standbyLease } from "../support/standby-leases.js";

const AGED = { ...standbyLease(1), createdBootMs: 4242 };

function read(...leases: object[]) {
  const header = { forknet: "standby", version: 2, records: leases.length };
  const lines = [header, ...leases.map((lease) => ({ version: 1, lease }))].map(encodeLine);
  const { leases: found, damage } = decodeStore(Buffer.from(lines.join("")), "standby.leases");
  return { leases: [...found.values()], damage };
}

it("tells the age that was written in this boot", () => {
  const content = Buffer.from(encodeStore([AGED, standbyLease(2)]));
  const { leases, damage } = decodeStore(content, "standby.leases");
  expect([...leases.values()]).toEqual([AGED, standbyLease(2)]);
  expect(damage).toBe("");
  expect(content.toString()).toContain(bootId());
});

it.each<[string, object]>([
  ["of an earlier release", { createdBootMs: undefined, bootId: undefined }],
  ["of another boot", { bootId: "00000000-0000-4000-8000-000000000000" }],
  ["without a boot", { bootId: "" }],
  ["with a time that is text", { createdBootMs: "12" }],
  ["with no time", { createdBootMs: 0 }],
])("tells no age: %s", (_, fields) => {
  const lease = { ...AGED, bootId: bootId(), ...fields };
  expect(read(lease)).toEqual({ leases: [standbyLease(1)], damage: "" });
});
