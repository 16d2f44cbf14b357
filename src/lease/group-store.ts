// The limits of groups on disk: they hold before a group's first guest, between its guests, and
// after a loss of power. A small file like that of the standby leases, written whole at each change.

import { lstatSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ForknetError } from "../errors.js";
import type { GroupLimits } from "../limits.js";
import { isLabel } from "../request.js";
import { aside, isThere } from "./aside.js";
import { StandbyFile, settle } from "./standby-file.js";
import { decodeLine, encodeLine, isWhole, newer } from "./standby-record.js";
import type { StoreDamage } from "./standby-store.js";
import { diskError } from "./state-dir.js";

const FILE = "groups";
const VERSION = 1;

export class GroupStore {
  readonly #stateDir: string;
  readonly #path: string;
  /** What the file holds. */
  #limits: ReadonlyMap<string, GroupLimits>;
  /** The file may hold what a refused write should have stored. */
  #isDoubtful = false;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(stateDir: string, limits: ReadonlyMap<string, GroupLimits>) {
    this.#stateDir = stateDir;
    this.#path = join(stateDir, FILE);
    this.#limits = limits;
  }

  /**
   * Reads the file of a directory that is there. What cannot be read is moved aside and told. Throws
   * CONFLICT, with nothing changed, for a file of a newer version.
   */
  static open(stateDir: string, onDamage: (damage: StoreDamage) => void): GroupStore {
    const path = join(stateDir, FILE);
    if (!isThere(path)) return new GroupStore(stateDir, new Map());
    try {
      const { limits, damage } = lstatSync(path).isFile()
        ? decode(readFileSync(path, "latin1"), path)
        : { limits: new Map(), damage: "it is not a file" };
      if (damage !== "")
        onDamage({ reason: `${path}: ${damage}`, movedTo: aside(path), kept: limits.size });
      return new GroupStore(stateDir, limits);
    } catch (error) {
      throw error instanceof ForknetError ? error : diskError(stateDir, error);
    }
  }

  all(): ReadonlyMap<string, GroupLimits> {
    return this.#limits;
  }

  /**
   * Durable when it resolves; null ends the record. Rejects with KERNEL for a full or failing disk,
   * PERMISSION for one that is read-only; then what was stored still is.
   */
  put(name: string, limits: GroupLimits | null): Promise<void> {
    const result = this.#turn.then(() => this.#write(name, limits));
    this.#turn = result.catch(() => {});
    return result;
  }

  /** Ends every record, and the file. */
  async clear(): Promise<void> {
    await this.#turn;
    this.#limits = new Map();
    try {
      rmSync(this.#path, { force: true });
      await settle(this.#path);
    } catch (error) {
      throw diskError(this.#stateDir, error);
    }
  }

  async #write(name: string, limits: GroupLimits | null): Promise<void> {
    const next = new Map(this.#limits);
    if (limits) next.set(name, limits);
    else if (!next.delete(name) && !this.#isDoubtful) return;
    try {
      await (await StandbyFile.write(this.#path, encode(next))).close();
    } catch (error) {
      this.#isDoubtful = true;
      throw diskError(this.#stateDir, error);
    }
    this.#isDoubtful = false;
    this.#limits = next;
  }
}

/** The first line says how many records follow, so that a shorter file is noticed. */
function encode(limits: ReadonlyMap<string, GroupLimits>): string {
  const header = encodeLine({ forknet: "groups", version: VERSION, records: limits.size });
  return header + Array.from(limits, ([name, one]) => encodeLine({ name, ...one })).join("");
}

function decode(content: string, path: string) {
  const [header, ...bodies] = content.split("\n").slice(0, -1).map(decodeLine) as Record<
    string,
    unknown
  >[];
  const isHeader = header?.forknet === "groups" && typeof header.version === "number";
  if (isHeader && (header.version as number) > VERSION) throw newer(path, header.version, VERSION);
  const limits = new Map<string, GroupLimits>();
  for (const body of bodies) {
    const { name, rate, ceil } = body ?? {};
    const isRate = isWhole(rate, Number.MAX_SAFE_INTEGER) && isWhole(ceil, Number.MAX_SAFE_INTEGER);
    if (isLabel(name) && isRate && rate > 0 && ceil >= rate) limits.set(name, { rate, ceil });
  }
  const isWholeFile = isHeader && header.records === bodies.length;
  const good = `${limits.size} of its ${isHeader ? header.records : bodies.length} records are whole`;
  const damage = isWholeFile && limits.size === bodies.length ? "" : good;
  return { limits, damage };
}
