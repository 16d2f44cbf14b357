// Leases of guests in standby: they have no TAP, so the kernel cannot keep them. One small file,
// written line by line; the truth is in memory, and the file is made anew whenever it is in doubt.
// Not a mapped database: a damaged page of one ends the process with SIGBUS, or passes for a lease.

import { lstatSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ForknetError } from "../errors.js";
import { aside, asideName, isThere } from "./aside.js";
import { readFormerStore } from "./former-store.js";
import type { Lease } from "./lease.js";
import { StandbyFile, settle } from "./standby-file.js";
import {
  decodeStore,
  encodeChange,
  encodeStore,
  type StandbyChange,
  type StoredLeases,
} from "./standby-record.js";
import { diskError } from "./state-dir.js";

/** Standby leases, or limits of groups, on disk that could not be used as they were. */
export interface StoreDamage {
  /** The file, and what was wrong with it. */
  reason: string;
  /** Where they are now, for a person to look at. */
  movedTo: string;
  /** How many of them were read and go on. */
  kept: number;
}

interface Write extends StandbyChange {
  resolve: () => void;
  reject: (error: Error) => void;
}

const FILE = "standby.leases";
const FORMER_FILE = "standby.mdb";
/** A file this many lines longer than its leases is made anew. */
const MOST_SUPERSEDED = 1024;

export class StandbyStore {
  readonly #stateDir: string;
  readonly #path: string;
  /** What the file holds for sure. */
  #leases: Map<string, Lease>;
  /** Undefined when the file has to be written whole before anything is added. */
  #file: StandbyFile | undefined;
  /** Ids whose record may be on disk although the write was refused. */
  readonly #doubtful = new Set<string>();
  readonly #waiting: Write[] = [];
  #writing: Promise<void> | undefined;

  private constructor(stateDir: string, leases: Map<string, Lease>) {
    this.#stateDir = stateDir;
    this.#path = join(stateDir, FILE);
    this.#leases = leases;
  }

  /**
   * Reads the store of a directory that is there: the process lock, taken first, makes it. What
   * cannot be read is moved aside, told to `onDamage`, and as many leases kept as are whole. Throws
   * CONFLICT, with nothing changed, for a store of a newer version.
   */
  static async open(
    stateDir: string,
    onDamage: (damage: StoreDamage) => void,
  ): Promise<StandbyStore> {
    const path = join(stateDir, FILE);
    const former = join(stateDir, FORMER_FILE);
    const [source, read] = isThere(path) ? [path, readStore] : [former, readFormer];
    if (!isThere(source)) return new StandbyStore(stateDir, new Map());
    try {
      const { leases, damage } = read(source);
      const store = new StandbyStore(stateDir, leases);
      const movedTo = damage === "" ? "" : aside(source);
      // A disk that is full does not keep guests from being served: the next write tries again.
      if (damage !== "" || source === former) await store.#write([]).catch(() => {});
      if (damage !== "") onDamage({ reason: `${source}: ${damage}`, movedTo, kept: leases.size });
      if (store.#file || source === path) forgetFormer(former);
      return store;
    } catch (error) {
      throw error instanceof ForknetError ? error : diskError(stateDir, error);
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
    const path = asideName(this.#path);
    try {
      writeFileSync(path, encodeStore(leases), { mode: 0o600, flush: true });
    } catch (error) {
      throw diskError(this.#stateDir, error);
    }
    await Promise.all(leases.map(({ instanceId }) => this.remove(instanceId)));
    return path;
  }

  /** Ends every lease, and the file. */
  async clear(): Promise<void> {
    await this.#writing;
    await this.#abandonFile();
    try {
      rmSync(this.#path, { force: true });
      await settle(this.#path);
    } catch (error) {
      throw diskError(this.#stateDir, error);
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
    await this.#abandonFile();
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
        for (const { reject } of batch) reject(diskError(this.#stateDir, error));
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
      if (!file || file.appended > leases.size + MOST_SUPERSEDED) await this.#writeWhole(leases);
      else await file.append(changes.map(encodeChange));
    } catch (error) {
      await this.#abandonFile();
      if ((error as { mayHoldMore?: boolean }).mayHoldMore)
        for (const { instanceId } of changes) this.#doubtful.add(instanceId);
      throw error;
    }
    this.#leases = leases;
  }

  async #writeWhole(leases: Map<string, Lease>): Promise<void> {
    const file = await StandbyFile.write(this.#path, encodeStore(leases.values()));
    await this.#abandonFile();
    this.#file = file;
    this.#doubtful.clear();
  }

  async #abandonFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}

function readStore(path: string): StoredLeases {
  const isFile = lstatSync(path).isFile();
  if (!isFile) return { leases: new Map(), damage: "it is not a file" };
  return decodeStore(readFileSync(path), path);
}

function readFormer(path: string): StoredLeases {
  const isFile = lstatSync(path).isFile();
  return isFile ? readFormerStore(path) : { leases: new Map(), damage: "it is not a file" };
}

/** Its leases are in the new store. */
function forgetFormer(path: string): void {
  for (const file of [path, `${path}-lock`]) rmSync(file, { force: true, recursive: true });
}
