// The files of a state directory as this process read or wrote them, to notice that somebody put
// others in their place. They are held open, so that no other file gets their inode.

import { closeSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { markDoubtful } from "./disk-error.js";
import type { FileId } from "./file-id.js";

interface Held {
  id: FileId;
  close: () => void | Promise<void>;
}

export class KnownFiles {
  readonly #held = new Map<string, Held>();
  /** Of directories that were removed: a call under way may still go by one. */
  readonly #former: Held[] = [];

  idOf(name: string): FileId | undefined {
    return this.#held.get(name)?.id;
  }

  async hold(name: string, id: FileId, file: number | FileHandle): Promise<void> {
    await this.forget(name);
    const close = () => (typeof file === "number" ? closeSync(file) : file.close());
    this.#held.set(name, { id, close });
  }

  async forget(name: string): Promise<void> {
    const held = this.#held.get(name);
    this.#held.delete(name);
    await held?.close();
  }

  /** Their directory was removed: nothing has their names any more. */
  forgetAll(): void {
    this.#former.push(...this.#held.values());
    this.#held.clear();
  }

  async close(): Promise<void> {
    this.forgetAll();
    for (const { close } of this.#former.splice(0)) await close();
  }
}

/** A file that is held open for writing would keep its disk from becoming read-only. */
export async function onlyToRead(handle: FileHandle): Promise<FileHandle> {
  try {
    return await open(`/proc/self/fd/${handle.fd}`);
  } catch (error) {
    throw markDoubtful(error);
  } finally {
    await handle.close();
  }
}
