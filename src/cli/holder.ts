// Who holds a network: whoever listens at the abstract name of its lock, which says so to every
// visitor. Any user can listen there; only who is trusted counts.

import { Socket } from "node:net";
import { LineReader } from "../control/protocol.js";
import { loadAddon } from "../kernel/addon.js";
import { describePeer, lockName, trustedHolders } from "../lock-name.js";
import { ownUid } from "../state/trust.js";

export interface Holder {
  /** 0 when it does not say. */
  pid: number;
  uid: number;
  /** It took the visit and then said nothing: it hangs, or is of a version that says nothing. */
  isSilent: boolean;
  /** Where it says that its control socket is, if that is believed. */
  stateDir?: string;
}

/** Who was found at the name: `holder`, or `warning` about somebody who does not count. */
export interface Visit {
  holder?: Holder;
  warning?: string;
}

const VISIT_MS = 1000;
const LONGEST_GREETING_BYTES = 8192;

/** `stateDir` is the one that the operator named: to root its owner is trusted, too. */
export async function visit(bridge: string, stateDir: string | undefined): Promise<Visit> {
  const name = lockName(bridge);
  let visited: ReturnType<typeof connectTo>;
  try {
    visited = connectTo(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
    return { warning: warningOf(name, undefined) };
  }
  if (!visited) return {};
  const { fd, pid, uid } = visited;
  if (!trustedHolders(bridge, stateDir).has(uid)) {
    loadAddon().closeFd(fd);
    return { warning: warningOf(name, visited) };
  }
  const own = await greeting(fd);
  // Another user's agent could lead to a third one's directory.
  const isOwn = uid === 0 || uid === ownUid();
  const told = own !== undefined && isOwn ? { stateDir: own } : {};
  return { holder: { pid, uid, isSilent: own === undefined, ...told } };
}

function connectTo(name: string) {
  try {
    return loadAddon().connectAbstract(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ECONNREFUSED") throw error;
    return undefined;
  }
}

function warningOf(name: string, peer: Parameters<typeof describePeer>[0]): string {
  return `${describePeer(peer)} has taken the name of the network's lock (@${name}); it is not trusted and counts for nothing`;
}

/** The state directory that the holder says it has. */
async function greeting(fd: number): Promise<string | undefined> {
  const socket = new Socket({ fd });
  const timer = setTimeout(() => socket.destroy(), VISIT_MS);
  const reader = new LineReader(LONGEST_GREETING_BYTES);
  const lines: string[] = [];
  try {
    for await (const chunk of socket) lines.push(...reader.push(chunk as Buffer));
    const { stateDir } = JSON.parse(lines[0] ?? "{}") as Record<string, unknown>;
    return typeof stateDir === "string" ? stateDir : undefined;
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
