// The limits of groups on disk: read back as they were, and no damage passes for a limit.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { GroupStore } from "../../src/lease/group-store.js";
import type { StoreDamage } from "../../src/state/aside.js";
import { StateDir } from "../../src/state/state-dir.js";

let stateDir: string;
const path = () => join(stateDir, "groups");
const A = { rate: 10e6, ceil: 20e6 };
const B = { rate: 8, ceil: Number.MAX_SAFE_INTEGER };

async function open() {
  const damages: StoreDamage[] = [];
  const state = StateDir.open(stateDir, { onDamage: (damage) => damages.push(damage) });
  onTestFinished(() => state.close());
  const store = await GroupStore.open(state);
  return { store, damages, limits: Object.fromEntries(store.all()) };
}

beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), "forknet-groups-"));
  onTestFinished(() => rmSync(stateDir, { recursive: true, force: true }));
});

describe("the limits of groups", () => {
  test("are read back, changed, ended and cleared", async () => {
    const { store } = await open();
    await Promise.all([store.put("a", A), store.put("b", A), store.put("b", B)]);
    await store.put("nobody", null);
    expect(await open()).toMatchObject({ limits: { a: A, b: B }, damages: [] });
    await store.put("a", null);
    expect((await open()).limits).toEqual({ b: B });
    await store.clear();
    expect(readdirSync(stateDir)).toEqual([]);
    expect(await open()).toMatchObject({ limits: {}, damages: [] });
  });

  test("that are damaged are told and moved aside, and the whole ones go on", async () => {
    const { store } = await open();
    await store.put("a", A);
    await store.put("b", B);
    const content = readFileSync(path());
    for (let at = 0; at < content.length; at++) {
      const harmed = Buffer.from(content);
      harmed.writeUInt8(harmed.readUInt8(at) ^ 1, at);
      for (const bytes of [harmed, content.subarray(0, at)]) {
        writeFileSync(path(), bytes);
        const { limits, damages } = await open();
        expect({ a: A, b: B }).toMatchObject(limits);
        expect(damages, `byte ${at}`).toHaveLength(1);
        expect(damages[0]?.kept).toBe(Object.keys(limits).length);
        expect(readFileSync(damages[0]?.movedTo as string)).toEqual(bytes);
        rmSync(damages[0]?.movedTo as string);
      }
    }
  });

  test("of a newer version are refused, and what is refused by the disk stays as it was", async () => {
    const { store } = await open();
    await store.put("a", A);
    const newer = readFileSync(path(), "latin1");
    // A write goes through a file of this name.
    mkdirSync(`${path()}.new`);
    await expect(store.put("a", B)).rejects.toMatchObject({ code: "ERR_FORKNET_KERNEL" });
    expect(store.all()).toEqual(new Map([["a", A]]));
    expect(newer).toContain('"version":1');
  });
});
