// Leases of guests in standby: they have no TAP, so the kernel cannot keep them. LMDB on disk, one
// record a guest.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { RootDatabase } from "lmdb";
import { ForknetError } from "../errors.js";
import type { Lease } from "./lease.js";

/** A stored lease; `version` is the record's format. */
interface StandbyRecord {
  version: 1;
  lease: Lease;
}

/**
 * Addresses in a record are numbers and every text is short: a thousand guests take less than a
 * megabyte.
 */
const MAP_BYTES = 64 * 1024 * 1024;

export class StandbyStore {
  readonly #database: RootDatabase<StandbyRecord, string>;

  private constructor(database: RootDatabase<StandbyRecord, string>) {
    this.#database = database;
  }

  /**
   * Opens the store in a directory that is there: the process lock, taken first, makes it. Throws
   * ERR_FORKNET_KERNEL.
   */
  static async open(stateDir: string): Promise<StandbyStore> {
    try {
      // Not before it is needed: its binary does not exist for every system the package may be
      // imported on.
      const { open } = await import("lmdb");
      const path = join(stateDir, "standby.mdb");
      return new StandbyStore(
        open<StandbyRecord, string>({ path, encoding: "json", noSubdir: true, mapSize: MAP_BYTES }),
      );
    } catch (error) {
      throw new ForknetError(
        "ERR_FORKNET_KERNEL",
        `cannot open the standby leases in ${stateDir}`,
        { cause: error },
      );
    }
  }

  /** Durable, power loss included, when it resolves. */
  async put(lease: Lease): Promise<void> {
    await this.#database.put(lease.instanceId, { version: 1, lease });
    await this.#database.flushed;
  }

  async remove(instanceId: string): Promise<void> {
    await this.#database.remove(instanceId);
    await this.#database.flushed;
  }

  has(instanceId: string): boolean {
    return this.#database.doesExist(instanceId);
  }

  all(): Lease[] {
    return [...this.#database.getRange()].map(({ value }) => value.lease);
  }

  async clear(): Promise<void> {
    await this.#database.clearAsync();
    await this.#database.flushed;
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}

/** Makes the directory of the store and of the lock file (0700). */
export function makeStateDir(stateDir: string): void {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw stateDirError(stateDir, error);
  }
}

/**
 * PERMISSION when the directory may not be written, CONFIG for any other reason that it cannot be
 * used.
 */
export function stateDirError(stateDir: string, error: unknown): ForknetError {
  const { code } = error as NodeJS.ErrnoException;
  const isDenied = code === "EACCES" || code === "EPERM" || code === "EROFS";
  const text = `cannot write in stateDir ${stateDir} (${code})`;
  return new ForknetError(isDenied ? "ERR_FORKNET_PERMISSION" : "ERR_FORKNET_CONFIG", text, {
    cause: error,
  });
}
