// The file that the standby leases are in: written whole beside the old one and put in its place,
// or longer by some lines; durable either way. What the lines say is standby-record.ts.

import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

const { O_RDWR, O_CREAT, O_TRUNC, O_APPEND, O_NOFOLLOW } = constants;
const FRESH = O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW;

export class StandbyFile {
  readonly #handle: FileHandle;
  #bytes: number;
  /** Lines appended since it was written whole. */
  appended = 0;

  private constructor(handle: FileHandle, bytes: number) {
    this.#handle = handle;
    this.#bytes = bytes;
  }

  /**
   * Puts a file with this content at `path`. On failure what was there still is, or `mayHoldMore`
   * of the error is true.
   */
  static async write(path: string, content: string): Promise<StandbyFile> {
    const fresh = `${path}.new`;
    const handle = await open(fresh, FRESH, 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
      await rename(fresh, path);
    } catch (error) {
      await handle.close();
      await rm(fresh, { force: true }).catch(() => {});
      throw error;
    }
    try {
      await settle(path);
    } catch (error) {
      await handle.close();
      throw Object.assign(error as Error, { mayHoldMore: true });
    }
    return new StandbyFile(handle, Buffer.byteLength(content));
  }

  /**
   * Adds lines at the end. On failure the file is as before, or `mayHoldMore` of the error is true;
   * it must not be written to again.
   */
  async append(lines: readonly string[]): Promise<void> {
    const added = Buffer.from(lines.join(""));
    try {
      await this.#handle.appendFile(added);
      await this.#handle.datasync();
    } catch (error) {
      const isBack = await this.#cutBack();
      throw Object.assign(error as Error, { mayHoldMore: !isBack });
    }
    this.#bytes += added.length;
    this.appended += lines.length;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  async #cutBack(): Promise<boolean> {
    try {
      await this.#handle.truncate(this.#bytes);
      await this.#handle.datasync();
      return true;
    } catch {
      return false;
    }
  }
}

/** Makes durable what was made, renamed or removed beside `path`. */
export async function settle(path: string): Promise<void> {
  const directory = await open(dirname(path));
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
