// Maps and programs through the addon: written, read, listed, found again by id, and what a wrong
// call gets. What the programs do with the maps is in the other bpf-*.test.ts files.

import { afterEach, describe, expect, it } from "vitest";
import { loadAddon } from "../../src/kernel/addon.js";
import type { BpfMapOptions } from "../../src/kernel/binding.js";
import { BpfPrograms, u32 } from "../support/bpf-programs.js";

const BPF_MAP_TYPE_HASH = 1;
const NO_SUCH_ID = 0x7fff_ffff;

const addon = loadAddon();
const { bpf } = addon;
const open: number[] = [];

afterEach(() => {
  for (const fd of open.splice(0)) addon.closeFd(fd);
});

function kept<T extends { fd: number }>(object: T): T {
  open.push(object.fd);
  return object;
}

function makeMap(options: Partial<BpfMapOptions> = {}): number {
  const defaults = {
    name: "test",
    type: "hash",
    keySize: 4,
    valueSize: 16,
    maxEntries: 8192,
  } as const;
  return kept(bpf.createMap({ ...defaults, ...options })).fd;
}

describe("a hash", () => {
  it("gives back what was set, and undefined for the rest", () => {
    const fd = makeMap();
    const value = Buffer.from("sixteen bytes!!!");
    expect(bpf.mapGet(fd, u32(7), 16)).toBeUndefined();
    bpf.mapSet(fd, u32(7), value);
    expect(bpf.mapGet(fd, u32(7), 16)).toEqual(value);
    bpf.mapSet(fd, u32(7), Buffer.alloc(16, 1));
    expect(bpf.mapGet(fd, u32(7), 16)).toEqual(Buffer.alloc(16, 1));
    expect(bpf.mapGet(fd, u32(8), 16)).toBeUndefined();
  });

  it("says whether there was something to delete", () => {
    const fd = makeMap();
    bpf.mapSet(fd, u32(7), Buffer.alloc(16));
    expect(bpf.mapDelete(fd, u32(7))).toBe(true);
    expect(bpf.mapDelete(fd, u32(7))).toBe(false);
    expect(bpf.mapEntries(fd, 4, 16)).toEqual([]);
  });

  // 1024 is one batch; the next entry needs a second.
  it.each([0, 1, 1023, 1024, 1025, 5000])("lists %i entries, each once", (count) => {
    const fd = makeMap({ noPrealloc: true });
    for (let i = 0; i < count; i++)
      bpf.mapSet(fd, u32(i), Buffer.concat([u32(i * 3), Buffer.alloc(12)]));
    const entries = bpf.mapEntries(fd, 4, 16);
    expect(
      new Map(entries.map(({ key, value }) => [key.readUInt32LE(), value.readUInt32LE()])),
    ).toEqual(new Map(Array.from({ length: count }, (_, i) => [i, i * 3])));
    expect(entries).toHaveLength(count);
  });

  it("is full at its size, with E2BIG", () => {
    const fd = makeMap({ maxEntries: 2 });
    for (const key of [1, 2]) bpf.mapSet(fd, u32(key), Buffer.alloc(16));
    expect(() => bpf.mapSet(fd, u32(3), Buffer.alloc(16))).toThrow(
      expect.objectContaining({ code: "E2BIG", errno: -7, syscall: "BPF_MAP_UPDATE_ELEM" }),
    );
    expect(bpf.mapEntries(fd, 4, 16)).toHaveLength(2);
  });

  it("takes any Uint8Array, a part of a larger one included", () => {
    const fd = makeMap();
    const large = new Uint8Array(64).fill(9);
    bpf.mapSet(fd, large.subarray(8, 12), large.subarray(3, 19));
    expect(bpf.mapGet(fd, Uint8Array.of(9, 9, 9, 9), 16)).toEqual(Buffer.alloc(16, 9));
  });
});

describe("an array", () => {
  it("has all its entries from the start, and keeps them", () => {
    const fd = makeMap({ type: "array", maxEntries: 3 });
    bpf.mapSet(fd, u32(2), Buffer.alloc(16, 5));
    expect(bpf.mapEntries(fd, 4, 16)).toEqual([
      { key: u32(0), value: Buffer.alloc(16) },
      { key: u32(1), value: Buffer.alloc(16) },
      { key: u32(2), value: Buffer.alloc(16, 5) },
    ]);
    expect(bpf.mapGet(fd, u32(3), 16)).toBeUndefined();
    expect(() => bpf.mapDelete(fd, u32(0))).toThrow(expect.objectContaining({ code: "EINVAL" }));
  });

  it("for each CPU has a value rounded up to 8 bytes for each of them", () => {
    const cpus = bpf.possibleCpus();
    expect(cpus).toBeGreaterThan(0);
    const fd = makeMap({ type: "percpu_array", valueSize: 12, maxEntries: 2 });
    const value = Buffer.alloc(cpus * 16);
    for (let cpu = 0; cpu < cpus; cpu++) value.fill(cpu + 1, cpu * 16, cpu * 16 + 12);
    bpf.mapSet(fd, u32(1), value);
    expect(bpf.mapGet(fd, u32(1), cpus * 16)).toEqual(value);
    expect(bpf.mapEntries(fd, 4, cpus * 16)).toHaveLength(2);
    expect(() => bpf.mapGet(fd, u32(1), 12)).toThrow(
      `Expected a value of ${cpus * 16} bytes, but received 12`,
    );
  });
});

describe("by id", () => {
  it("finds a map and what is in it", () => {
    const map = kept(
      bpf.createMap({ name: "again", type: "hash", keySize: 4, valueSize: 16, maxEntries: 10 }),
    );
    bpf.mapSet(map.fd, u32(1), Buffer.alloc(16, 8));
    const found = kept(bpf.mapById(map.id));
    const shape = {
      name: "again",
      type: BPF_MAP_TYPE_HASH,
      keySize: 4,
      valueSize: 16,
      maxEntries: 10,
    };
    expect(found).toEqual({ fd: found.fd, ...shape });
    expect(found.fd).not.toBe(map.fd);
    expect(bpf.mapGet(found.fd, u32(1), 16)).toEqual(Buffer.alloc(16, 8));
  });

  it("finds a program, its maps and their names", () => {
    const ours = new BpfPrograms();
    const loaded = kept(bpf.loadProgram("guard", ours.maps));
    const found = kept(bpf.programById(loaded.id));
    expect(found).toMatchObject({ name: "guard", tag: loaded.tag });
    expect(found.tag).toMatch(/^[\da-f]{16}$/);
    expect(found.mapIds.map((id) => kept(bpf.mapById(id)).name).sort()).toEqual([
      "drops",
      "leases",
      "settings",
    ]);
    ours.close();
  });

  it("has no tag in common between programs, and the same tag for the same program", () => {
    const ours = new BpfPrograms();
    const load = (name: "guard" | "gate" | "classify") =>
      kept(bpf.loadProgram(name, ours.maps)).tag;
    expect(load("guard")).toBe(load("guard"));
    expect(new Set([load("guard"), load("gate"), load("classify")]).size).toBe(3);
    ours.close();
  });

  it.each([
    ["BPF_MAP_GET_FD_BY_ID", () => bpf.mapById(NO_SUCH_ID)],
    ["BPF_PROG_GET_FD_BY_ID", () => bpf.programById(NO_SUCH_ID)],
  ])("%s refuses what is not there", (syscall, call) => {
    expect(call).toThrow(expect.objectContaining({ code: "ENOENT", errno: -2, syscall }));
  });
});

describe("a wrong call", () => {
  const short = () => makeMap({ valueSize: 4096 });
  it.each([
    [
      "a key too short",
      () => bpf.mapSet(short(), Buffer.alloc(3), Buffer.alloc(4096)),
      "key of 4 bytes",
    ],
    ["a key too long", () => bpf.mapGet(short(), Buffer.alloc(8), 4096), "key of 4 bytes"],
    [
      "a value too short to set",
      () => bpf.mapSet(short(), u32(1), Buffer.alloc(4095)),
      "value of 4096 bytes",
    ],
    ["a value too short to get", () => bpf.mapGet(short(), u32(1), 8), "value of 4096 bytes"],
    [
      "a value too long",
      () => bpf.mapSet(short(), u32(1), Buffer.alloc(4097)),
      "value of 4096 bytes",
    ],
    ["an empty key to delete", () => bpf.mapDelete(short(), Buffer.alloc(0)), "key of 4 bytes"],
    ["entries of another size", () => bpf.mapEntries(short(), 4, 16), "value of 4096 bytes"],
    ["a name too long", () => makeMap({ name: "sixteen-letters-" }), "at most 15 characters"],
    [
      "a program without its maps",
      () => bpf.loadProgram("gate", { leases: makeMap() }),
      "Expected a map called drops",
    ],
  ])("with %s is EINVAL, and the map is not touched", (_, call, text) => {
    expect(call).toThrow(
      expect.objectContaining({
        code: "EINVAL",
        errno: -22,
        message: expect.stringContaining(text),
      }),
    );
  });

  it.each([
    [
      "text for a key",
      (fd: number) => bpf.mapSet(fd, "key!" as never, Buffer.alloc(16)),
      "Uint8Array for key",
    ],
    [
      "words for a value",
      (fd: number) => bpf.mapSet(fd, u32(1), new Uint32Array(4) as never),
      "Uint8Array for value",
    ],
    ["no descriptor", () => bpf.mapGet(-1, u32(1), 16), "for fd"],
    ["half a descriptor", () => bpf.mapGet(0.5, u32(1), 16), "for fd"],
    ["no size", (fd: number) => bpf.mapGet(fd, u32(1), Number.NaN), "for valueSize"],
    ["an unheard-of program", () => bpf.loadProgram("gurad" as never, {}), "for program"],
    ["an unheard-of type", () => makeMap({ type: "lru" as never }), "for options.type"],
    ["no options", () => bpf.createMap(undefined as never), "for options"],
    [
      "a map that is no number",
      () => bpf.loadProgram("gate", { leases: "1" as never }),
      "for maps.leases",
    ],
  ])("with %s is a TypeError", (_, call, text) => {
    expect(() => call(makeMap())).toThrow(TypeError);
    expect(() => call(makeMap())).toThrow(text);
  });

  it("on a descriptor of something else is refused by the kernel", () => {
    expect(() => bpf.mapGet(2, u32(1), 16)).toThrow(
      expect.objectContaining({ syscall: "BPF_OBJ_GET_INFO_BY_FD" }),
    );
    const ours = new BpfPrograms();
    expect(() => bpf.mapGet(ours.programs.gate, u32(1), 16)).toThrow();
    expect(() => bpf.testRun(ours.maps.leases, Buffer.alloc(64))).toThrow(
      expect.objectContaining({ syscall: "BPF_PROG_TEST_RUN", code: "EINVAL" }),
    );
    ours.close();
  });

  it("with maps of the wrong shape gets the verifier's last words", () => {
    const ours = new BpfPrograms();
    const maps = { ...ours.maps, leases: makeMap({ valueSize: 4 }) };
    expect(() => bpf.loadProgram("guard", maps)).toThrow(
      expect.objectContaining({
        code: "EACCES",
        syscall: "BPF_PROG_LOAD",
        message: expect.stringMatching(
          /^BPF_PROG_LOAD guard: EACCES \((.|\n)*invalid access to map value/,
        ),
      }),
    );
    ours.close();
  });

  it("leaves no descriptor behind", () => {
    const before = kept(
      bpf.createMap({ name: "a", type: "array", keySize: 4, valueSize: 4, maxEntries: 1 }),
    ).fd;
    expect(() =>
      bpf.loadProgram("guard", { leases: before, settings: before, drops: before }),
    ).toThrow();
    addon.closeFd(open.pop() as number);
    expect(
      kept(bpf.createMap({ name: "b", type: "array", keySize: 4, valueSize: 4, maxEntries: 1 })).fd,
    ).toBe(before);
  });
});
