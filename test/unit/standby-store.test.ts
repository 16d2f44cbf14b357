// The store of standby leases: what it keeps, what it refuses to read, and what it does with a file
// that somebody or something has damaged.

import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { patiently } from "../support/patience.js";
import {
  filesIn,
  openStore,
  STORE_FILE,
  standbyLease,
  standbyLeases,
  stateDirectory,
  storeOnce,
} from "../support/standby-leases.js";

const COUNT = 8;
const LEASES = standbyLeases(COUNT);

/** One line as the store writes it. */
function line(body: object): string {
  const text = JSON.stringify(body);
  return `${crc32(text).toString(16).padStart(8, "0")} ${text}\n`;
}
const header = (records: number) => line({ forknet: "standby", version: 2, records });

/** A directory whose store has this content. */
function holding(content: string | Buffer): string {
  const stateDir = stateDirectory();
  writeFileSync(join(stateDir, STORE_FILE), content);
  return stateDir;
}

async function wholeFile(): Promise<Buffer> {
  const stateDir = stateDirectory();
  await storeOnce(stateDir, LEASES);
  return readFileSync(join(stateDir, STORE_FILE));
}

/** Opens a damaged store: it is told once, kept aside as it was, and whole when it opens again. */
async function openDamaged(stateDir: string, was: Buffer) {
  const { store, damage } = await openStore(stateDir);
  expect(damage).toMatchObject([{ kept: store.all().length }]);
  expect(readFileSync(damage[0]?.movedTo as string).equals(was)).toBe(true);
  await store.close();
  const again = await openStore(stateDir);
  expect(again.damage).toEqual([]);
  expect(again.store.all()).toEqual(store.all());
  await again.store.close();
  return store.all();
}

describe("the store", () => {
  it("makes no file before there is something in it", async () => {
    const stateDir = stateDirectory();
    const { store } = await openStore(stateDir);
    await store.remove("vm-1");
    await store.close();
    expect(readdirSync(stateDir)).toEqual([]);
  });

  it("gives back what was put, and what was put last", async () => {
    const stateDir = stateDirectory();
    await storeOnce(stateDir, LEASES);
    const { store } = await openStore(stateDir);
    const changed = { ...standbyLease(3), limits: { download: 1e6, upload: null } };
    await store.put(changed);
    await Promise.all([store.remove("vm-5"), store.put(standbyLease(20)), store.remove("vm-20")]);
    await store.close();
    const { store: next, damage } = await openStore(stateDir);
    const expected = LEASES.filter(({ instanceId }) => instanceId !== "vm-5");
    expect(next.all()).toEqual(expected.map((lease, i) => (i === 3 ? changed : lease)));
    expect([next.has("vm-3"), next.has("vm-5"), next.has("vm-20")]).toEqual([true, false, false]);
    expect(damage).toEqual([]);
  });

  it("is complete on disk whenever a promise has resolved", async () => {
    const stateDir = stateDirectory();
    const { store } = await openStore(stateDir);
    for (const lease of LEASES) {
      await store.put(lease);
      const { store: other } = await openStore(stateDir);
      expect(other.all()).toEqual(store.all());
    }
  });

  it("is for its owner only, and does not grow with what is long gone", async () => {
    const stateDir = stateDirectory();
    const { store } = await openStore(stateDir);
    const path = join(stateDir, STORE_FILE);
    let most = 0;
    for (let round = 0; round < 40; round++) {
      await Promise.all(standbyLeases(50).map((lease) => store.put(lease)));
      await Promise.all(standbyLeases(50).map((lease) => store.remove(lease.instanceId)));
      most = Math.max(most, statSync(path).size);
    }
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(most).toBeLessThan(400_000);
  });

  it("is gone when it is cleared, and can be used again", async () => {
    const stateDir = stateDirectory();
    const { store } = await openStore(stateDir);
    await store.put(standbyLease(1));
    await store.clear();
    expect([store.all(), readdirSync(stateDir)]).toEqual([[], []]);
    await store.put(standbyLease(2));
    expect((await openStore(stateDir)).store.all()).toEqual([standbyLease(2)]);
  });

  it("keeps leases that cannot be served in a file of their own", async () => {
    const stateDir = stateDirectory();
    const { store } = await openStore(stateDir);
    await Promise.all(LEASES.map((lease) => store.put(lease)));
    const movedTo = await store.setAside([standbyLease(1), standbyLease(2)]);
    expect(store.has("vm-1")).toBe(false);
    const other = await openStore(holding(readFileSync(movedTo)));
    expect(other.store.all()).toEqual([standbyLease(1), standbyLease(2)]);
  });
});

describe("a store of another version", () => {
  const newer: [string, string][] = [
    ["file", line({ forknet: "standby", version: 3, records: 1 })],
    ["record", header(1) + line({ version: 2, lease: standbyLease(1) })],
  ];
  it.each(newer)("is refused when its %s is newer, and stays as it is", async (_, content) => {
    const stateDir = holding(`${content}what else that version writes\n`);
    const before = filesIn(stateDir);
    await expect(openStore(stateDir)).rejects.toMatchObject({
      code: "ERR_FORKNET_CONFLICT",
      message: expect.stringContaining("newer forknet") as string,
    });
    expect(filesIn(stateDir)).toEqual(before);
  });

  it("may have fields that this one does not know", async () => {
    const stateDir = holding(
      line({ forknet: "standby", version: 2, records: 1, compressed: false }) +
        line({ version: 1, color: "red", lease: { ...standbyLease(1), vlan: 7 } }),
    );
    const { store, damage } = await openStore(stateDir);
    expect([store.all(), damage]).toEqual([[standbyLease(1)], []]);
  });
});

/** Hundreds of files, each opened, read and moved aside. */
const MANY_FILES_MS = patiently(60_000);

describe("a damaged store", { timeout: MANY_FILES_MS }, () => {
  it("is noticed wherever it was cut off, and what is before the cut goes on", async () => {
    const whole = await wholeFile();
    for (let length = 0; length < whole.length; length += 7) {
      const was = whole.subarray(0, length);
      const kept = await openDamaged(holding(was), was);
      const lines = was.toString("latin1").split("\n").length - 2;
      expect(kept).toEqual(LEASES.slice(0, Math.max(0, lines)));
    }
    const atLineEnd = whole.subarray(0, whole.indexOf("\n", whole.length / 2) + 1);
    expect((await openDamaged(holding(atLineEnd), atLineEnd)).length).toBeLessThan(COUNT);
  });

  it("is noticed whichever bit was flipped, and loses no more than the lines it was in", async () => {
    const whole = await wholeFile();
    for (let at = 0; at < whole.length; at += 5) {
      const was = Buffer.from(whole);
      was.writeUInt8(was.readUInt8(at) ^ (1 << (at % 8)), at);
      const kept = await openDamaged(holding(was), was);
      expect(kept.length).toBeGreaterThanOrEqual(COUNT - 2);
      for (const lease of kept) expect(LEASES).toContainEqual(lease);
    }
  });

  it("keeps what a page of zeros has left", async () => {
    const stateDir = stateDirectory();
    const leases = standbyLeases(100);
    await storeOnce(stateDir, leases);
    const was = readFileSync(join(stateDir, STORE_FILE)).fill(0, 4096, 8192);
    writeFileSync(join(stateDir, STORE_FILE), was);
    const kept = await openDamaged(stateDir, was);
    expect(kept.length).toBeGreaterThan(70);
    for (const lease of kept) expect(leases).toContainEqual(lease);
  });

  const strange: [string, string | Buffer][] = [
    ["nothing", ""],
    ["a line's end", "\n"],
    ["text", "hello\n".repeat(100)],
    ["zeros", Buffer.alloc(8192)],
    ["a checksum without text", "00000000 \n"],
    ["no header", line({ version: 1, lease: standbyLease(1) })],
    ["the header of another program", line({ program: "other", version: 1 })],
    ["an older version that never was", line({ forknet: "standby", version: 1, records: 0 })],
  ];
  it.each(strange)("is one that holds %s", async (_, content) => {
    await openDamaged(holding(content), Buffer.from(content));
  });

  const wrong: [string, object][] = [
    ["an address of five bytes", { ip: 2 ** 33 }],
    ["a negative MAC", { mac: -1 }],
    ["a MAC that is text", { mac: "02:00:00:00:00:01" }],
    ["an id with a slash", { instanceId: "a/b" }],
    ["no name", { instanceName: undefined }],
    ["no limits", { limits: undefined }],
    ["half a limit", { limits: { download: null, upload: { rate: 1 } } }],
    ["a fractional rate", { limits: { download: 0.5, upload: null } }],
    ["no time", { createdMs: null }],
    ["an owner without ids", { owner: {} }],
    ["an owner that is a number", { owner: 1000 }],
    ["nobody's uid for its owner", { owner: { uid: 2 ** 32 - 1 } }],
    ["a negative gid for its owner", { owner: { uid: 7, gid: -1 } }],
  ];
  it.each(wrong)("is one whose record has %s", async (_, fields) => {
    const content =
      header(2) +
      line({ version: 1, lease: { ...standbyLease(1), ...fields } }) +
      line({ version: 1, lease: standbyLease(2) });
    expect(await openDamaged(holding(content), Buffer.from(content))).toEqual([standbyLease(2)]);
  });

  it("is one that is not a file: a directory, a pipe, a link that leads nowhere", async () => {
    const makers = [
      (path: string) => mkdirSync(path),
      (path: string) => void execFileSync("mkfifo", [path]),
      (path: string) => symlinkSync(`${path}-is-gone`, path),
    ];
    for (const make of makers) {
      const stateDir = stateDirectory();
      make(join(stateDir, STORE_FILE));
      const { store, damage } = await openStore(stateDir);
      expect(damage).toMatchObject([{ kept: 0 }]);
      expect(lstatSync(damage[0]?.movedTo as string).isFile()).toBe(false);
      await store.put(standbyLease(1));
      expect((await openStore(stateDir)).store.all()).toEqual([standbyLease(1)]);
    }
  });

  it("may be a write that the end of the process cut short", async () => {
    const stateDir = stateDirectory();
    await storeOnce(stateDir, LEASES);
    appendFileSync(join(stateDir, STORE_FILE), line({ version: 1, gone: "vm-1" }).slice(0, 20));
    const { store, damage } = await openStore(stateDir);
    expect(store.all()).toEqual(LEASES);
    expect(damage).toMatchObject([{ kept: COUNT }]);
  });

  it("whose successor was left half written is not damaged at all", async () => {
    const stateDir = stateDirectory();
    await storeOnce(stateDir, LEASES);
    writeFileSync(join(stateDir, `${STORE_FILE}.new`), "half a f");
    const { store, damage } = await openStore(stateDir);
    await store.put(standbyLease(50));
    expect([store.all().length, damage]).toEqual([COUNT + 1, []]);
    expect(existsSync(join(stateDir, `${STORE_FILE}.new`))).toBe(false);
  });
});
