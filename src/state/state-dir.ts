// The state directory of an open network and its one writer: what it says is written, the next
// process finds. Holds the lock of the directory, and makes the directory anew when it was removed.

import { fstatSync, lstatSync, readdirSync } from "node:fs";
import { lstat, stat } from "node:fs/promises";
import { join } from "node:path";
import { ForknetError } from "../errors.js";
import type { StoreDamage } from "./aside.js";
import { Directory, type Reading } from "./directory.js";
import { markDoubtful, stateDirError } from "./disk-error.js";
import { removeDurably, writeWhole } from "./durable-write.js";
import { type FileId, idOf, isSame } from "./file-id.js";
import { FileLock } from "./file-lock.js";
import { KnownFiles, onlyToRead } from "./known-files.js";
import { StateFile } from "./state-file.js";

export interface StateDirOptions {
  /** A command of root's: the directory's owner is trusted, too, and gets what is written. */
  trustsOwner?: boolean;
  onDamage?: (damage: StoreDamage) => void;
}

/** What a file should hold. */
export interface Content {
  text: string;
  /** How many leases or limits that is. */
  records: number;
}

const LOCK = "lock";
const ESTALE = 116;

export class StateDir {
  /** Called when the directory was removed and has been made anew. */
  onMoved: (() => void) | undefined;
  readonly #options: StateDirOptions;
  #directory: Directory;
  #lock: FileLock | undefined;
  readonly #known = new KnownFiles();
  /** Directories that were removed: a call under way may still go by one. */
  readonly #former: Directory[] = [];
  readonly #kept = new Map<string, () => Content | undefined>();
  /** Files that the directory lacks since it was made anew. */
  readonly #owed = new Set<string>();
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(directory: Directory, options: StateDirOptions) {
    this.#directory = directory;
    this.#options = options;
  }

  /**
   * Makes the directory where there is none. Throws PERMISSION when it may not be written, or when
   * somebody may change it who is not trusted; CONFIG for any other reason that it cannot be used.
   */
  static open(path: string, options: StateDirOptions = {}): StateDir {
    try {
      return new StateDir(Directory.make(path, options.trustsOwner === true), options);
    } catch (error) {
      throw stateDirError(path, error);
    }
  }

  get path(): string {
    return this.#directory.path;
  }

  /** Tells whoever opened the network of a file that cannot be used as it is. */
  damaged(damage: StoreDamage): void {
    this.#options.onDamage?.(damage);
  }

  /** Undefined when the lock is taken; else the pid of its holder, 0 when it is not known. */
  lock(): number | undefined {
    try {
      const lock = FileLock.take(this.entry(LOCK), this.#directory.owner);
      if (!(lock instanceof FileLock)) return lock.holder;
      this.#lock?.release();
      this.#lock = lock;
      return undefined;
    } catch (error) {
      throw stateDirError(this.path, error);
    }
  }

  /** The path of a file in this very directory, wherever its name leads by now. */
  entry(name: string): string {
    return this.#directory.entry(name);
  }

  has(name: string): boolean {
    return this.#directory.has(name);
  }

  /** Undefined when nothing has the name. Never waits. */
  async read(name: string): Promise<Reading | undefined> {
    const reading = this.#directory.open(name);
    const { fd, id } = reading ?? {};
    if (fd !== undefined && id) await this.#known.hold(name, id, fd);
    return reading;
  }

  /** What to write when the directory has to be made anew; undefined for no such file. */
  keep(name: string, content: () => Content | undefined): void {
    this.#kept.set(name, content);
  }

  /**
   * Puts a file with this content in the place of what has the name; durable when it resolves. On
   * failure what was there still is, or the error is marked as doubtful. Rejects with KERNEL when
   * another directory is in the place of this one, CONFLICT when another process has its lock, else
   * with Node's own error.
   */
  write(name: string, text: string): Promise<void> {
    return this.#inTurn(async () => {
      await this.#makeSure();
      await this.#put(name, text);
    });
  }

  /** The same, for a file that lines are added to until it is written anew. */
  writeGrowing(name: string, text: string): Promise<StateFile> {
    return this.#inTurn(async () => {
      await this.#makeSure();
      return this.#put(name, text, true);
    });
  }

  /** Durable; what is not there is no error. */
  remove(name: string): Promise<void> {
    return this.#inTurn(async () => {
      await removeDurably(this.#directory, name);
      await this.#known.forget(name);
    });
  }

  /** Keeps what has this name under another one, and tells where. */
  async setAside(name: string): Promise<string> {
    await this.#known.forget(name);
    return this.#directory.setAside(name);
  }

  /** Keeps text that cannot be used beside the file it is from, and tells where. */
  async writeAside(name: string, text: string): Promise<string> {
    const aside = this.#directory.asideName(name);
    await this.write(aside, text);
    await this.#known.forget(aside);
    return join(this.path, aside);
  }

  async close(): Promise<void> {
    await this.#turn;
    await this.#known.close();
    for (const directory of [this.#directory, ...this.#former]) directory.close();
    this.#lock?.release();
  }

  async #put(name: string, text: string, isGrowing = false): Promise<StateFile> {
    await this.#tellLost(name);
    const { handle, id } = await writeWhole(this.#directory, name, text);
    const held = isGrowing ? handle : await onlyToRead(handle);
    await this.#known.hold(name, id, held);
    const isInPlace = () => this.#finds(name, id);
    if (!(await isInPlace())) throw markDoubtful(elsewhere(this.path));
    return new StateFile(held, Buffer.byteLength(text), isInPlace);
  }

  /** Somebody removed or replaced a file of ours; memory has what was in it. */
  async #tellLost(name: string): Promise<void> {
    const known = this.#known.idOf(name);
    const there = lstatSync(this.entry(name), { bigint: true, throwIfNoEntry: false });
    if (!known || isSame(there, known)) return;
    const reason = `${join(this.path, name)}: it was ${there ? "replaced" : "removed"} while in use`;
    const movedTo = there ? await this.setAside(name) : "";
    await this.#known.forget(name);
    this.damaged({ reason, movedTo, kept: this.#kept.get(name)?.()?.records ?? 0 });
  }

  /** The path leads here and the lock is ours, or it throws and nothing is written. */
  async #makeSure(): Promise<void> {
    if (!isSame(await idAt(stat, this.path), this.#directory.id)) this.#moveIn();
    if (this.#lock && !(await this.#isLocked())) {
      const holder = this.lock();
      if (holder !== undefined) throw taken(this.path, holder);
    }
    for (const name of this.#owed) {
      const content = this.#kept.get(name)?.();
      if (content) await this.#put(name, content.text);
      this.#owed.delete(name);
    }
  }

  /**
   * Makes the directory anew when it was removed and nobody else's has its place. One that is only
   * moved or hidden may come back with what is in it, and one with files is somebody's: then it
   * throws, and nothing is written.
   */
  #moveIn(): void {
    if (fstatSync(this.#directory.fd).nlink > 0) throw elsewhere(this.path);
    const next = StateDir.open(this.path, this.#options);
    try {
      if (readdirSync(next.entry("")).length > 0) throw elsewhere(this.path);
      const holder = this.#lock ? next.lock() : undefined;
      if (holder !== undefined) throw taken(this.path, holder);
      // Somebody may have had it for a moment.
      const own = this.#lock ? 1 : 0;
      if (readdirSync(next.entry("")).length > own) throw elsewhere(this.path);
    } catch (error) {
      next.#lock?.release();
      next.#directory.close();
      throw error;
    }
    this.#lock?.release();
    this.#lock = next.#lock;
    this.#known.forgetAll();
    this.#former.push(this.#directory);
    this.#directory = next.#directory;
    for (const name of this.#kept.keys()) this.#owed.add(name);
    const counts = Array.from(this.#kept.values(), (content) => content()?.records ?? 0);
    const kept = counts.reduce((sum, one) => sum + one, 0);
    const reason = `${this.path}: it was removed while in use, and is made anew`;
    this.damaged({ reason, movedTo: "", kept });
    this.onMoved?.();
  }

  async #isLocked(): Promise<boolean> {
    return isSame(await idAt(lstat, join(this.path, LOCK)), this.#lock?.id);
  }

  /** Whether the next process finds this file, and none had the directory before it. */
  async #finds(name: string, id: FileId): Promise<boolean> {
    const isThere = isSame(await idAt(lstat, join(this.path, name)), id);
    return isThere && (!this.#lock || (await this.#isLocked()));
  }

  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run);
    this.#turn = result.catch(() => {});
    return result;
  }
}

/** Undefined when the path leads nowhere. */
async function idAt(look: typeof stat | typeof lstat, path: string): Promise<FileId | undefined> {
  try {
    return idOf(await look(path, { bigint: true }));
  } catch {
    return undefined;
  }
}

function elsewhere(path: string): ForknetError {
  const text = `${path} is not the directory any more that the network was opened with (it was moved, or another is mounted over it): put it back and try again`;
  return new ForknetError("ERR_FORKNET_KERNEL", text, { errno: -ESTALE, errnoName: "ESTALE" });
}

function taken(path: string, holder: number): ForknetError {
  const text = `${path} is held by process ${holder || "unknown"} by now: its lock file was removed`;
  return new ForknetError("ERR_FORKNET_CONFLICT", text, { holderPid: holder });
}
