// Reads the standby leases of forknet before store version 2: an LMDB file. A reader of its own,
// because LMDB maps the file, and a page that is not there ends the process with SIGBUS.

import type { Lease } from "./lease.js";
import { type StoredLeases, toLease } from "./standby-record.js";

/** MDB_page_header and MDB_meta in LMDB's mdb.c, data version 2, little-endian, 64-bit. */
const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const HEADER_BYTES = 24;
const NODE_BYTES = 8;
const FLAGS_AT = 18;
const LOWER_AT = 20;
const BRANCH = 1;
const LEAF = 2;
const META_AT = { magic: 24, version: 28, pageBytes: 48, entries: 128, root: 136, txn: 152 };
const META_BYTES = 160;
/** A root of all ones: the tree is empty. */
const NO_PAGE = 2n ** 64n - 1n;

/** Never throws for what is in the file: a page that makes no sense is passed over and told. */
export function readFormerStore(file: Buffer): StoredLeases {
  const leases = new Map<string, Lease>();
  const metas = readMetas(file);
  const [meta] = metas;
  if (!meta) return { leases, damage: "it is not an LMDB file" };
  let bad = 2 - metas.length;
  for (const value of leafValues(file, meta, () => bad++)) {
    const lease = toLease(value);
    if (lease) leases.set(lease.instanceId, lease);
    else bad++;
  }
  const isWhole = bad === 0 && BigInt(leases.size) === meta.entries;
  const damage = isWhole ? "" : `${leases.size} of its ${meta.entries} records can be read`;
  return { leases, damage };
}

interface Meta {
  pageBytes: number;
  entries: bigint;
  root: bigint;
  txn: bigint;
}

/** The last written first; fewer than two where they are damaged. */
function readMetas(file: Buffer): Meta[] {
  const first = readMeta(file, 0, 0n);
  // The second starts behind the first; where the first is damaged, pages have the usual size.
  const second = readMeta(file, first?.pageBytes ?? 4096, 1n);
  return [first, second]
    .filter((meta) => meta !== undefined)
    .sort((a, b) => (a.txn > b.txn ? -1 : 1));
}

function readMeta(file: Buffer, at: number, number: bigint): Meta | undefined {
  if (file.length < at + META_BYTES || file.readBigUInt64LE(at) !== number) return undefined;
  if (file.readUInt32LE(at + META_AT.magic) !== MAGIC) return undefined;
  if (file.readUInt32LE(at + META_AT.version) !== DATA_VERSION) return undefined;
  return {
    pageBytes: file.readUInt32LE(at + META_AT.pageBytes),
    entries: file.readBigUInt64LE(at + META_AT.entries),
    root: file.readBigUInt64LE(at + META_AT.root),
    txn: file.readBigUInt64LE(at + META_AT.txn),
  };
}

/** The `lease` of every record, in the order of the keys. `failed` is called for a bad page. */
function* leafValues(file: Buffer, meta: Meta, failed: () => void): Generator<unknown> {
  const seen = new Set<number>();
  const waiting = meta.root === NO_PAGE ? [] : [Number(meta.root)];
  for (let number = waiting.pop(); number !== undefined; number = waiting.pop()) {
    const page = file.subarray(number * meta.pageBytes, (number + 1) * meta.pageBytes);
    try {
      const flags = page.readUInt16LE(FLAGS_AT);
      const isOwn = Number(page.readBigUInt64LE(0)) === number && !seen.has(number);
      if (!isOwn || (flags !== BRANCH && flags !== LEAF))
        throw new RangeError("not a page of a tree");
      seen.add(number);
      for (const at of nodes(page)) {
        const size = page.readUInt16LE(at) + page.readUInt16LE(at + 2) * 2 ** 16;
        if (flags === BRANCH) waiting.push(size);
        else yield leaseAt(page, at, size);
      }
    } catch {
      failed();
    }
  }
}

function nodes(page: Buffer): number[] {
  const count = page.readUInt16LE(LOWER_AT) >> 1;
  return Array.from(
    { length: count },
    (_, i) => HEADER_BYTES + page.readUInt16LE(HEADER_BYTES + 2 * i),
  );
}

/** Undefined when the bytes are no record. */
function leaseAt(page: Buffer, at: number, size: number): unknown {
  const start = at + NODE_BYTES + page.readUInt16LE(at + 6);
  try {
    return JSON.parse(page.toString("utf8", start, start + size)).lease;
  } catch {
    return undefined;
  }
}
