// Leases of guests in standby: they have no TAP, so the kernel cannot keep them. One small file,
// written line by line; the truth is in memory, and the file is made anew whenever it is in doubt.
// Not a mapped database: a damaged page of one ends the process with SIGBUS, or passes for a lease.

import { join } from "node:path";
import { diskError, isDoubtful } from "../state/disk-error.js";
import type { StateDir } from "../state/state-dir.js";
import type { StateFile } from "../state/state-file.js";
import { readFormerStore } from "./former-store.js";
import type { Lease } from "./lease.js";
import {
  decodeStore,
  encodeChange,
  encodeStore,
  type StandbyChange,
  type StoredLeases,
} from "./standby-record.js";

interface Write extends StandbyChange {
  resolve: () => void;
  reject: (error: Error) => void;
}

export const STANDBY_FILE = "standby.leases";
const FORMER_FILE = "standby.mdb";
/** A file this many lines longer than its leases is made anew. */
const MOST_SUPERSEDED = 1024;

export class StandbyStore {
  readonly #dir: StateDir;
  /** What the file holds for sure. */
  #leases: Map<string, Lease>;
  /** Undefined when the file has to be written whole before anything is added. */
  #file: StateFile | undefined;
  /** Ids whose record may be on disk although the write was refused. */
  readonly #doubtful = new Set<string>();
  readonly #waiting: Write[] = [];
  #writing: Promise<void> | undefined;

  private constructor(dir: StateDir, leases: Map<string, Lease>) {
    this.#dir = dir;
    this.#leases = leases;
    dir.keep(STANDBY_FILE, () => {
      const text = encodeStore(this.#leases.values());
      return this.#leases.size > 0 ? { text, records: this.#leases.size } : undefined;
    });
  }

  /**
   * Reads the store of a directory. What cannot be read is moved aside and told, and as many leases
   * kept as are whole. Throws CONFLICT, with nothing changed, for a store of a newer version.
   */
  static async open(dir: StateDir): Promise<StandbyStore> {
    const isCurrent = dir.has(STANDBY_FILE);
    const source = isCurrent ? STANDBY_FILE : FORMER_FILE;
    try {
      const read = await readStored(dir, source, isCurrent ? decodeStore : readFormerStore);
      if (!read) return new StandbyStore(dir, new Map());
      const { leases, damage } = read;
      const store = new StandbyStore(dir, leases);
      const movedTo = damage === "" ? "" : await dir.setAside(source);
      // A disk that is full does not keep guests from being served: the next write tries again.
      if (damage !== "" || !isCurrent) await store.#write([]).catch(() => {});
      const reason = `${join(dir.path, source)}: ${damage}`;
      if (damage !== "") dir.damaged({ reason, movedTo, kept: leases.size });
      if (store.#file || isCurrent) await forgetFormer(dir);
      return store;
    } catch (error) {
      throw diskError(dir.path, error);
    }
  }

  /**
   * Durable when it resolves: synced to the disk, so that neither the end of the process nor a loss
   * of power undoes it. Rejects with KERNEL for a full or failing disk, PERMISSION for one that is
   * read-only; then nothing is stored, and a later try may succeed.
   */
  put(lease: Lease): Promise<void> {
    return this.#enqueue({ instanceId: lease.instanceId, lease });
  }

  /** As durable as put, and refused as it is; what is not there is no error. */
  async remove(instanceId: string): Promise<void> {
    if (this.has(instanceId) || this.#writing) await this.#enqueue({ instanceId });
  }

  /** True also when the record may be on disk although its write was refused. */
  has(instanceId: string): boolean {
    return this.#leases.has(instanceId) || this.#doubtful.has(instanceId);
  }

  all(): Lease[] {
    return [...this.#leases.values()];
  }

  /** Takes leases out of the store that cannot be served, and keeps them in a file of their own. */
  async setAside(leases: readonly Lease[]): Promise<string> {
    let path: string;
    try {
      path = await this.#dir.writeAside(STANDBY_FILE, encodeStore(leases));
    } catch (error) {
      throw diskError(this.#dir.path, error);
    }
    await Promise.all(leases.map(({ instanceId }) => this.remove(instanceId)));
    return path;
  }

  /** Ends every lease, and the file. */
  async clear(): Promise<void> {
    await this.#writing;
    this.#file = undefined;
    try {
      await this.#dir.remove(STANDBY_FILE);
    } catch (error) {
      throw diskError(this.#dir.path, error);
    }
    this.#leases = new Map();
    this.#doubtful.clear();
  }

  async close(): Promise<void> {
    await this.#writing;
    // Written whole, the file says how much is in it. Where that fails it is as good as after a
    // kill.
    if (this.#doubtful.size > 0 || (this.#file?.appended ?? 0) > 0)
      await this.#writeWhole(this.#leases).catch(() => {});
  }

  #enqueue(change: StandbyChange): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...change, resolve, reject });
      this.#writing ??= this.#writeWaiting();
    });
  }

  /** What is asked for while the disk is busy goes in one write. */
  async #writeWaiting(): Promise<void> {
    // The calls of this tick belong together.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0);
      try {
        await this.#write(batch);
        for (const { resolve } of batch) resolve();
      } catch (error) {
        for (const { reject } of batch) reject(diskError(this.#dir.path, error));
      }
    }
    this.#writing = undefined;
  }

  async #write(changes: readonly StandbyChange[]): Promise<void> {
    const leases = new Map(this.#leases);
    for (const { instanceId, lease } of changes) {
      if (lease) leases.set(instanceId, lease);
      else leases.delete(instanceId);
    }
    try {
      const file = this.#file;
      const isLong = file && file.appended > leases.size + MOST_SUPERSEDED;
      if (!file || isLong || !(await file.append(changes.map(encodeChange))))
        await this.#writeWhole(leases);
    } catch (error) {
      this.#file = undefined;
      if (isDoubtful(error)) for (const { instanceId } of changes) this.#doubtful.add(instanceId);
      throw error;
    }
    this.#leases = leases;
  }

  async #writeWhole(leases: Map<string, Lease>): Promise<void> {
    const file = await this.#dir.writeGrowing(STANDBY_FILE, encodeStore(leases.values()));
    this.#file = file;
    this.#doubtful.clear();
  }
}

async function readStored(
  dir: StateDir,
  name: string,
  decode: (content: Buffer, path: string) => StoredLeases,
): Promise<StoredLeases | undefined> {
  const reading = await dir.read(name);
  if (!reading) return undefined;
  const { content, fault } = reading;
  return fault === ""
    ? decode(content, join(dir.path, name))
    : { leases: new Map(), damage: fault };
}

/** Its leases are in the new store. */
async function forgetFormer(dir: StateDir): Promise<void> {
  for (const name of [FORMER_FILE, `${FORMER_FILE}-lock`])
    if (dir.has(name)) await dir.remove(name);
}
