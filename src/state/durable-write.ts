// A whole file, durably: written beside the one that has its name, flushed, put in its place, and the
// place flushed, too.

import { constants, fsync } from "node:fs";
import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { promisify } from "node:util";
import type { Directory } from "./directory.js";
import { markDoubtful } from "./disk-error.js";
import { type FileId, idOf } from "./file-id.js";

const { O_RDWR, O_CREAT, O_EXCL, O_APPEND, O_NOFOLLOW } = constants;
const FRESH = O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW;

const sync = promisify(fsync);

/**
 * On failure what had the name still has it, or the error is marked as doubtful. The handle appends
 * and is the caller's. One at a time for a name.
 */
export async function writeWhole(
  directory: Directory,
  name: string,
  text: string,
): Promise<{ handle: FileHandle; id: FileId }> {
  const fresh = directory.entry(`${name}.new`);
  await unlinkIfThere(fresh);
  const handle = await open(fresh, FRESH, 0o600);
  let id: FileId;
  try {
    const { owner } = directory;
    if (owner) await handle.chown(owner.uid, owner.gid);
    await handle.writeFile(text);
    await handle.sync();
    id = idOf(await handle.stat({ bigint: true }));
    await rename(fresh, directory.entry(name));
  } catch (error) {
    await handle.close();
    await unlinkIfThere(fresh).catch(() => {});
    throw error;
  }
  try {
    await sync(directory.fd);
  } catch (error) {
    await handle.close();
    throw markDoubtful(error);
  }
  return { handle, id };
}

/** What is not there is no error. */
export async function removeDurably(directory: Directory, name: string): Promise<void> {
  await unlinkIfThere(directory.entry(name));
  await sync(directory.fd);
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
