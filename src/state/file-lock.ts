// The lock file of a state directory: a flock, which ends with its process however that ends, and the
// holder's pid in it.

import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";
import { loadAddon } from "../kernel/addon.js";
import { type FileId, idOf, isSame } from "./file-id.js";

const { O_RDONLY, O_WRONLY, O_TRUNC, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
const LONGEST_PID = 32;
/** Somebody may remove the file between its opening and its locking. */
const MOST_TRIES = 3;

export class FileLock {
  readonly id: FileId;
  readonly #fd: number;

  private constructor(fd: number, id: FileId) {
    this.#fd = fd;
    this.id = id;
  }

  /**
   * Takes the lock, or tells the pid of its holder, 0 when it is not known. A new file is `owner`'s.
   * Throws Node's error; EINVAL for anything but a plain file with one name.
   */
  static take(path: string, owner?: { uid: number; gid: number }): FileLock | { holder: number } {
    for (let tries = 1; ; tries++) {
      // Only to read: a file that is held open for writing keeps its disk from becoming read-only.
      const fd = openSync(path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
      try {
        const stats = fstatSync(fd, { bigint: true });
        // With a second name it could be somebody's who does not expect to be written to.
        if (!stats.isFile() || stats.nlink > 1n) throw invalid(path);
        if (!loadAddon().lockFile(fd)) {
          const holder = writtenPid(fd);
          closeSync(fd);
          return { holder };
        }
        if (isSame(lstatSync(path, { bigint: true, throwIfNoEntry: false }), stats)) {
          if (owner) fchownSync(fd, owner.uid, owner.gid);
          writePid(fd);
          return new FileLock(fd, idOf(stats));
        }
        if (tries === MOST_TRIES) throw invalid(path);
      } catch (error) {
        closeSync(fd);
        throw error;
      }
      closeSync(fd);
    }
  }

  release(): void {
    closeSync(this.#fd);
  }
}

function writePid(fd: number): void {
  const writable = openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_TRUNC);
  try {
    writeSync(writable, `${process.pid}\n`);
  } finally {
    closeSync(writable);
  }
}

function writtenPid(fd: number): number {
  const text = Buffer.alloc(LONGEST_PID);
  const bytes = readSync(fd, text, 0, text.length, 0);
  const pid = Number.parseInt(text.toString("latin1", 0, bytes), 10);
  return Number.isSafeInteger(pid) && pid > 0 ? pid : 0;
}

function invalid(path: string): NodeJS.ErrnoException {
  const text = `EINVAL: ${path} is not a plain file with one name`;
  return Object.assign(new Error(text), { code: "EINVAL" });
}
