// One open directory that nobody but those who are trusted can change, and the files in it, read
// without following a symbolic link or waiting for anybody.

import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { ForknetError } from "../errors.js";
import { asideName, moveAside } from "./aside.js";
import { type FileId, idOf } from "./file-id.js";
import { inspectPath, ownUid, type PathReport, type Unsafe } from "./trust.js";

export interface Owner {
  uid: number;
  gid: number;
}

/** A file as it was read. */
export interface Reading {
  /** Empty when there is a fault. */
  content: Buffer;
  /** Why it could not be read; "" when nothing is wrong. */
  fault: string;
}

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;
const NOT_A_FILE = "it is not a file";
/** A thousand standby leases have 0.3 MB. */
const LARGEST_FILE_BYTES = 256 * 1024 * 1024;

export class Directory {
  readonly path: string;
  readonly fd: number;
  readonly id: FileId;
  /** Root works in the directory of another user, whose the files in it are to be. */
  readonly owner: Owner | undefined;

  private constructor(path: string, fd: number, owner: Owner | undefined) {
    this.path = path;
    this.fd = fd;
    this.id = idOf(fstatSync(fd, { bigint: true }));
    this.owner = owner;
  }

  /**
   * Undefined when there is none. Throws PERMISSION with the command that mends it when others than
   * root and the own user may change what the path leads to, else Node's own error. `trustsOwner`:
   * to root the directory's owner is trusted, too.
   */
  static find(path: string, trustsOwner: boolean): Directory | undefined {
    const report = inspectPath(path, trustsOwner);
    refuseUnsafe(path, report);
    if (!report.owner) return undefined;
    const fd = openSync(report.real, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    const isForeign = ownUid() === 0 && report.owner.uid !== 0;
    return new Directory(path, fd, isForeign ? report.owner : undefined);
  }

  /** The same; makes what does not exist (0700), so that it is there after a loss of power, too. */
  static make(path: string, trustsOwner: boolean): Directory {
    const report = inspectPath(path, trustsOwner);
    refuseUnsafe(path, report);
    let made = join(report.real, ...report.missing);
    const first = mkdirSync(made, { recursive: true, mode: 0o700 });
    while (first !== undefined && made !== dirname(first)) {
      made = dirname(made);
      syncDirectory(made);
    }
    const found = Directory.find(path, trustsOwner);
    if (!found) throw Object.assign(new Error(`ENOENT: ${path}`), { code: "ENOENT" });
    return found;
  }

  /**
   * The path of a file in this very directory, wherever its name leads by now. Node has no openat;
   * this magic link of the kernel serves every call that takes a path, and fits into an address of a
   * socket.
   */
  entry(name: string): string {
    return `/proc/self/fd/${this.fd}/${name}`;
  }

  has(name: string): boolean {
    return lstatSync(this.entry(name), { throwIfNoEntry: false }) !== undefined;
  }

  /** Undefined when nothing has the name. Never waits. Throws Node's own error. */
  read(name: string): Reading | undefined {
    const opened = this.open(name);
    if (opened?.fd !== undefined) closeSync(opened.fd);
    return opened;
  }

  /** The same; with `fd`, the caller's to close, where there is no fault. */
  open(name: string): (Reading & { fd?: number; id?: FileId }) | undefined {
    let fd: number;
    try {
      fd = openSync(this.entry(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT") return undefined;
      // A symbolic link; a socket.
      if (code === "ELOOP" || code === "ENXIO") return faulty(NOT_A_FILE);
      throw error;
    }
    try {
      const stats = fstatSync(fd, { bigint: true });
      const isLong = stats.size > LARGEST_FILE_BYTES;
      if (stats.isFile() && !isLong)
        return { content: readFileSync(fd), fault: "", fd, id: idOf(stats) };
      closeSync(fd);
      return faulty(isLong ? `it has more than ${LARGEST_FILE_BYTES} bytes` : NOT_A_FILE);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Keeps what has this name under another one, and tells where. */
  setAside(name: string): string {
    const to = this.asideName(name);
    moveAside(this.entry(name), this.entry(to));
    return join(this.path, to);
  }

  /** A name that nothing has, for what cannot be used of a file of this name. */
  asideName(name: string): string {
    return asideName(name, (one) => this.has(one));
  }

  close(): void {
    closeSync(this.fd);
  }
}

export function unsafeText({ reason, mend }: Unsafe): string {
  return `${reason}, who could change the agent's state or answer for it: ${mend}`;
}

function refuseUnsafe(path: string, { unsafe }: PathReport): void {
  if (!unsafe) return;
  const text = `stateDir ${path} is not safe: ${unsafeText(unsafe)}`;
  throw new ForknetError("ERR_FORKNET_PERMISSION", text);
}

function faulty(fault: string): Reading {
  return { content: Buffer.alloc(0), fault };
}

function syncDirectory(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
