// The abstract socket that whoever has the network on a bridge listens at, and who is believed there:
// any user of the network namespace can take the name first.

import { defaultStateDir } from "./options.js";
import { inspectPath, ownUid } from "./state/trust.js";

export function lockName(bridge: string): string {
  return `forknet/${bridge}`;
}

/**
 * Uids whose hold on the name counts: root's, the own one and, for root, those of whoever has the
 * default state directory or the one that is in use. A process in another user namespace shows the
 * overflow uid, 65534, which is none of them.
 */
export function trustedHolders(bridge: string, stateDir?: string): ReadonlySet<number> {
  const trusted = new Set([0, ownUid()]);
  if (ownUid() !== 0) return trusted;
  for (const path of [defaultStateDir(bridge), ...(stateDir === undefined ? [] : [stateDir])]) {
    try {
      const { owner, unsafe } = inspectPath(path, true);
      if (owner && !unsafe) trusted.add(owner.uid);
    } catch {
      // What cannot be looked at makes nobody trusted.
    }
  }
  return trusted;
}

/** "process 77 of uid 1000"; of a process in another pid namespace no pid is known. */
export function describePeer(peer: { pid: number; uid: number } | undefined): string {
  if (!peer) return "a process that does not say who it is";
  return `${peer.pid ? `process ${peer.pid}` : "a process"} of uid ${peer.uid}`;
}
