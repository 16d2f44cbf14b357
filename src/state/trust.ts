// Who may change what a path leads to. Whoever may, can make a reader take his files for the
// agent's, and a writer write where he likes: only root, the own user and, for root's commands, the
// owner of the directory are trusted. Only reads.

import { lstatSync, readlinkSync, type Stats } from "node:fs";
import { dirname, join } from "node:path";
import { quoted } from "../shell.js";

/** What a path leads to, and whether only those may change it who are trusted. */
export interface PathReport {
  /** The path without symbolic links, as far as it exists. */
  real: string;
  /** The names at its end that do not exist. */
  missing: string[];
  /** Of the directory; undefined when it does not exist. */
  owner?: { uid: number; gid: number };
  unsafe?: Unsafe;
}

export interface Unsafe {
  /** "/srv/state can be written by others" */
  reason: string;
  /** A command that mends it. */
  mend: string;
}

/** A directory or a symbolic link on the way. */
interface Step {
  path: string;
  stats: Stats;
}

const ROOT = 0;
const STICKY = 0o1000;
const WRITABLE_BY_OTHERS = 0o022;
/** MAXSYMLINKS */
const MOST_LINKS = 40;

/** The user that this process acts as. */
export function ownUid(): number {
  return process.geteuid?.() ?? ROOT;
}

/**
 * Follows a path as the kernel does and judges every directory and link on the way. What has been
 * judged cannot be replaced by others afterwards: each step's parent was judged before it.
 * `trustsOwner`: root takes the owner of the directory for trusted, too. Throws Node's own error,
 * such as EACCES or ENOTDIR.
 */
export function inspectPath(path: string, trustsOwner: boolean): PathReport {
  const { steps, missing, real } = follow(path);
  const last = steps.at(-1) as Step;
  const owner = missing.length === 0 ? { uid: last.stats.uid, gid: last.stats.gid } : undefined;
  const trusted = new Set([ROOT, ownUid()]);
  if (trustsOwner && ownUid() === ROOT && owner) trusted.add(owner.uid);
  const unsafe = steps
    .map((step) => judge(step, trusted, owner !== undefined && step === last))
    .find((one) => one !== undefined);
  return { real, missing, ...(owner ? { owner } : {}), ...(unsafe ? { unsafe } : {}) };
}

function judge(
  { path, stats }: Step,
  trusted: ReadonlySet<number>,
  isTarget: boolean,
): Unsafe | undefined {
  const target = quoted(path);
  const heir = ownUid() === ROOT ? "root" : String(ownUid());
  if (stats.isSymbolicLink()) {
    if (trusted.has(stats.uid)) return undefined;
    const reason = `${path} is a symbolic link of uid ${stats.uid}`;
    return { reason, mend: `chown -h root ${target}` };
  }
  const close = `chmod ${isTarget ? "700" : "go-w"} ${target}`;
  if (!trusted.has(stats.uid)) {
    const mend = `chown ${isTarget ? heir : "root"} ${target} && ${close}`;
    return { reason: `${path} belongs to uid ${stats.uid}`, mend };
  }
  // In a sticky directory only the owner of an entry, of the directory, and root may replace it.
  const isShared = !isTarget && (stats.mode & STICKY) !== 0;
  if ((stats.mode & WRITABLE_BY_OTHERS) === 0 || isShared) return undefined;
  return { reason: `${path} can be written by others`, mend: close };
}

function follow(path: string): { steps: Step[]; missing: string[]; real: string } {
  const steps: Step[] = [{ path: "/", stats: lstatSync("/") }];
  const names = path.split("/");
  let real = "/";
  let links = 0;
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    if (!isName(name)) continue;
    if (name === "..") {
      real = dirname(real);
      continue;
    }
    const next = join(real, name);
    const stats = lstatSync(next, { throwIfNoEntry: false });
    if (!stats) return { steps, missing: [name, ...names.filter(isName)], real };
    if (stats.isSymbolicLink()) {
      if (++links > MOST_LINKS) throw refusal("ELOOP", next);
      const target = readlinkSync(next);
      names.unshift(...target.split("/"));
      if (target.startsWith("/")) real = "/";
    } else if (stats.isDirectory()) real = next;
    else throw refusal("ENOTDIR", next);
    steps.push({ path: next, stats });
  }
  // A path that ends with ".." or with a link to "/".
  if (steps.at(-1)?.path !== real) steps.push({ path: real, stats: lstatSync(real) });
  return { steps, missing: [], real };
}

function isName(part: string): boolean {
  return part !== "" && part !== ".";
}

function refusal(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}
