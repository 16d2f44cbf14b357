// The limits of groups on disk: they hold before a group's first guest, between its guests, and
// after a loss of power. A small file like that of the standby leases, written whole at each change.

import { join } from "node:path";
import type { GroupLimits } from "../limits.js";
import { isLabel } from "../request.js";
import { diskError } from "../state/disk-error.js";
import type { StateDir } from "../state/state-dir.js";
import { decodeLine, encodeLine, isWhole, newer } from "./standby-record.js";

const FILE = "groups";
const VERSION = 1;

export class GroupStore {
  readonly #dir: StateDir;
  /** What the file holds. */
  #limits: ReadonlyMap<string, GroupLimits>;
  /** The file may hold what a refused write should have stored. */
  #isDoubtful = false;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(dir: StateDir, limits: ReadonlyMap<string, GroupLimits>) {
    this.#dir = dir;
    this.#limits = limits;
    dir.keep(FILE, () => {
      const records = this.#limits.size;
      return records > 0 ? { text: encode(this.#limits), records } : undefined;
    });
  }

  /**
   * Reads the file of a directory. What cannot be read is moved aside and told. Throws CONFLICT, with
   * nothing changed, for a file of a newer version.
   */
  static async open(dir: StateDir): Promise<GroupStore> {
    const path = join(dir.path, FILE);
    try {
      const reading = await dir.read(FILE);
      if (!reading) return new GroupStore(dir, new Map());
      const { content, fault } = reading;
      const { limits, damage } =
        fault === ""
          ? decode(content.toString("latin1"), path)
          : { limits: new Map<string, GroupLimits>(), damage: fault };
      if (damage !== "") {
        const movedTo = await dir.setAside(FILE);
        dir.damaged({ reason: `${path}: ${damage}`, movedTo, kept: limits.size });
      }
      return new GroupStore(dir, limits);
    } catch (error) {
      throw diskError(dir.path, error);
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
      await this.#dir.remove(FILE);
    } catch (error) {
      throw diskError(this.#dir.path, error);
    }
  }

  async #write(name: string, limits: GroupLimits | null): Promise<void> {
    const next = new Map(this.#limits);
    if (limits) next.set(name, limits);
    else if (!next.delete(name) && !this.#isDoubtful) return;
    try {
      await this.#dir.write(FILE, encode(next));
    } catch (error) {
      this.#isDoubtful = true;
      throw diskError(this.#dir.path, error);
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
