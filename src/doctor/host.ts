// The host as the checks see it: files below a root, processes, and the network namespace of the
// calling thread. Only reads.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { LinkInfo, Netlink } from "../kernel/binding.js";

export class Host {
  readonly #root: string;

  /** `root` is another directory in a test, and what /etc, /proc and /run are looked for in. */
  constructor(root = "/") {
    this.#root = root;
  }

  /** The trimmed text of a file; undefined when it cannot be read. */
  read(path: string): string | undefined {
    try {
      return readFileSync(join(this.#root, path), "utf8").trim();
    } catch {
      return undefined;
    }
  }

  /** Sorted names in a directory, none when there is no such directory. */
  list(path: string): string[] {
    try {
      return readdirSync(join(this.#root, path)).sort();
    } catch {
      return [];
    }
  }

  /** The path of a file below the root. */
  path(path: string): string {
    return join(this.#root, path);
  }

  /** True when a process has this name, of which the kernel keeps 15 characters. */
  runs(name: string): boolean {
    return this.list("/proc")
      .filter((entry) => /^\d+$/.test(entry))
      .some((pid) => this.read(`/proc/${pid}/comm`) === name.slice(0, 15));
  }

  /**
   * Files with this ending in several directories as systemd reads them: in the order of their
   * names, an earlier directory's in place of a later one's of the same name.
   */
  dropIns(directories: readonly string[], ending: string): { path: string; text: string }[] {
    const found = new Map<string, string>();
    for (const directory of directories)
      for (const name of this.list(directory))
        if (name.endsWith(ending) && !found.has(name)) found.set(name, `${directory}/${name}`);
    return [...found.entries()]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, path]) => ({ path, text: this.read(path) ?? "" }));
  }
}

/** What the checks of the network look at, too. */
export interface Scene {
  host: Host;
  netlink: Netlink;
  /** The name that was asked for. */
  bridgeName: string;
  /** The link of that name, when it is a bridge. */
  bridge: LinkInfo | undefined;
}
