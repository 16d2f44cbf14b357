// A file of a state directory that grows by lines, durably. state-dir.ts puts it there and closes it.

import type { FileHandle } from "node:fs/promises";
import { markDoubtful } from "./disk-error.js";

export class StateFile {
  readonly #handle: FileHandle;
  /** Whether the next process finds this file. */
  readonly #isInPlace: () => Promise<boolean>;
  #bytes: number;
  /** Lines appended since it was written whole. */
  appended = 0;

  constructor(handle: FileHandle, bytes: number, isInPlace: () => Promise<boolean>) {
    this.#handle = handle;
    this.#bytes = bytes;
    this.#isInPlace = isInPlace;
  }

  /**
   * Adds lines at the end. Resolves with false, and nothing was added, when the next process would
   * not find them: somebody removed or replaced the file or its directory. On failure the file is
   * as before, or the error is marked as doubtful. It must not be written to again either way.
   */
  async append(lines: readonly string[]): Promise<boolean> {
    const added = Buffer.from(lines.join(""));
    let isInPlace: boolean;
    try {
      await this.#handle.appendFile(added);
      await this.#handle.datasync();
      isInPlace = await this.#isInPlace();
    } catch (error) {
      throw (await this.#cutBack()) ? error : markDoubtful(error);
    }
    if (!isInPlace) {
      // It may come back into its place.
      if (await this.#cutBack()) return false;
      throw markDoubtful(new Error("its file was moved, and cannot be cut back"));
    }
    this.#bytes += added.length;
    this.appended += lines.length;
    return true;
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
