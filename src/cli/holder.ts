// Who holds a network: whoever listens at the abstract name of its lock, which says so to every
// visitor.

import { Socket } from "node:net";
import { LineReader } from "../control/protocol.js";
import { loadAddon } from "../kernel/addon.js";
import { lockName } from "../process-lock.js";

export interface Holder {
  /** 0 when it does not say. */
  pid: number;
  stateDir?: string;
}

const VISIT_MS = 1000;
const LONGEST_GREETING_BYTES = 8192;

/** undefined when nobody holds it. */
export async function visit(bridge: string): Promise<Holder | undefined> {
  const visited = connectTo(lockName(bridge));
  if (!visited) return undefined;
  const { fd, pid } = visited;
  const socket = new Socket({ fd });
  const timer = setTimeout(() => socket.destroy(), VISIT_MS);
  const reader = new LineReader(LONGEST_GREETING_BYTES);
  const lines: string[] = [];
  try {
    for await (const chunk of socket) lines.push(...reader.push(chunk as Buffer));
    const { stateDir } = JSON.parse(lines[0] ?? "{}") as Record<string, unknown>;
    return { pid, ...(typeof stateDir === "string" ? { stateDir } : {}) };
  } catch {
    // It hangs, or is of a version that says nothing.
    return { pid };
  } finally {
    clearTimeout(timer);
  }
}

function connectTo(name: string) {
  try {
    return loadAddon().connectAbstract(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ECONNREFUSED") throw error;
    return undefined;
  }
}
