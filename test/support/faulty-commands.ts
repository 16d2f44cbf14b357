// Firewall commands that fail at a chosen call: programs of the same names, found first, that count
// and otherwise run the real ones.

import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

const NAMES = ["nft", "iptables-nft", "iptables-nft-restore"];

export class FaultyCommands {
  readonly #directory = mkdtempSync(join(tmpdir(), "forknet-commands-"));

  /** In place until the test has finished; nothing fails until `failAt`. */
  constructor() {
    const path = process.env.PATH;
    for (const name of NAMES) {
      const file = join(this.#directory, name);
      writeFileSync(file, script(this.#directory, name));
      chmodSync(file, 0o755);
    }
    this.failAt(0);
    process.env.PATH = `${this.#directory}:${path}`;
    onTestFinished(() => {
      process.env.PATH = path;
      rmSync(this.#directory, { recursive: true });
    });
  }

  /** The call with this number fails, counted from 1 and from now; 0: none does. */
  failAt(at: number): void {
    writeFileSync(join(this.#directory, "at"), String(at));
    writeFileSync(join(this.#directory, "calls"), "");
  }

  /** Calls since the last `failAt`, with their arguments. */
  get calls(): string[] {
    return readFileSync(join(this.#directory, "calls"), "utf8").split("\n").slice(0, -1);
  }
}

function script(directory: string, name: string): string {
  // Two may run at once: each counts the calls before the next one is added.
  return `#!/bin/sh
exec 9>> ${directory}/lock
flock 9
echo "${name} $*" >> ${directory}/calls
if [ "$(wc -l < ${directory}/calls)" -eq "$(cat ${directory}/at)" ]; then
  echo "made to fail" >&2
  exit 4
fi
exec 9>&-
PATH=/usr/sbin:/sbin exec ${name} "$@"
`;
}
