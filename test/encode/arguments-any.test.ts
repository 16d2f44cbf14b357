// Any values for any fields: the addon writes whole messages or throws a TypeError, and survives
// arguments that change while it reads them. Under scripts/sanitize.sh also without touching memory
// that is not its own.
import { fc, it } from "@fast-check/vitest";
import { describe, expect } from "vitest";
import { loadAddon } from "../../src/kernel/addon.js";
import type { Message } from "../../src/kernel/messages.js";
import { cases } from "./cases.js";

const HEADER_BYTES = 16;
const addon = loadAddon();
const encode = (messages: unknown) => addon.encode(messages as Message[]);

const number = fc.oneof(
  fc.integer({ min: 1, max: 32 }),
  fc.nat({ max: 0xffffffff }),
  fc.maxSafeNat(),
  fc.double(),
);
const text = fc.oneof(
  fc.string({ maxLength: 300, unit: "binary" }),
  fc.constantFrom("add", "change", "replace", "none", "bridge", "ifb", "tap%d", "\ud800"),
);
const value = fc.oneof(
  { weight: 6, arbitrary: number },
  { weight: 3, arbitrary: text },
  { weight: 3, arbitrary: fc.boolean() },
  fc.anything({ withBigInt: true, withNullPrototype: true, withSparseArray: true }),
);
const keys = [...new Set(cases.flatMap(({ message }) => Object.keys(message)))];
const change = fc.dictionary(fc.constantFrom(...keys), value, { maxKeys: 3 });
const message = fc
  .tuple(fc.constantFrom(...cases), change)
  .map(([{ message: whole }, fields]) => ({ ...whole, ...fields }));

/** Lengths of the netlink messages in a buffer; they must fill it. */
function expectWhole(buffer: Buffer): void {
  let at = 0;
  while (at < buffer.length) {
    const length = buffer.readUInt32LE(at);
    expect(length).toBeGreaterThan(HEADER_BYTES);
    at += (length + 3) & ~3;
  }
  expect(at).toBe(buffer.length);
}

describe("encode()", () => {
  it.prop([fc.array(message, { maxLength: 5 })], { numRuns: 2000 })(
    "writes whole messages or throws a TypeError",
    (messages) => {
      let buffers: Buffer[];
      try {
        buffers = encode(messages);
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError);
        return;
      }
      expect(buffers).toHaveLength(messages.length);
      for (const buffer of buffers) expectWhole(buffer);
    },
  );

  it.prop([fc.anything()])("takes nothing but an array of objects", (anything) => {
    fc.pre(!Array.isArray(anything) || anything.length > 0);
    expect(() => encode(anything)).toThrow(TypeError);
  });

  it.prop([fc.constantFrom(...cases), fc.constantFrom(...keys)])(
    "passes on what a getter throws",
    ({ message: whole }, key) => {
      const raised = new RangeError("no");
      const trap = Object.defineProperty({ ...whole }, key, {
        get() {
          throw raised;
        },
      });
      let caught: unknown;
      try {
        encode([trap]);
      } catch (error) {
        caught = error;
      }
      // Not every operation reads every field.
      expect([undefined, raised]).toContain(caught);
      if (key in whole) expect(caught).toBe(raised);
    },
  );

  it.prop([fc.constantFrom(...cases), fc.nat({ max: 3 })])(
    "survives an array that a getter shortens",
    ({ message: whole }, length) => {
      const messages: unknown[] = [whole, whole, whole, whole];
      messages[1] = Object.defineProperty({ ...whole }, "op", {
        get() {
          messages.length = length;
          return whole.op;
        },
      });
      // A message that has gone is no object.
      expect(() => encode(messages)).toThrow(TypeError);
    },
  );
});
