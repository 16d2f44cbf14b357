// Whether others could change what an agent keeps, or answer for it.

import { loadAddon } from "../kernel/addon.js";
import type { Peer } from "../kernel/unix-sockets.js";
import { describePeer, lockName, trustedHolders } from "../lock-name.js";
import { inspectPath } from "../state/trust.js";
import { about, type Finding } from "./finding.js";

export function checkStateDir(stateDir: string): Finding {
  const { ok, warning, problem } = about(
    "state.directory",
    "who can write there can change what guests get back, and answer for the agent",
  );
  try {
    // Root takes whoever has it for its agent's user.
    const { owner, unsafe } = inspectPath(stateDir, true);
    if (unsafe) return problem(unsafe.reason, unsafe.mend);
    if (!owner) return ok(`${stateDir} does not exist, and nobody else can make it`);
    return ok(`${stateDir} belongs to uid ${owner.uid}, and nobody else can write there`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return warning(`${stateDir} cannot be looked at (${code})`);
  }
}

/** Needs the addon. */
export function checkLockName(bridge: string, stateDir: string): Finding {
  const name = `@${lockName(bridge)}`;
  const { ok, warning } = about(
    "state.name",
    "any user can take the name of the network's lock; it then counts for nothing, and only the lock of the state directory keeps a second agent off",
  );
  let peer: Peer | undefined;
  try {
    const { fd, ...found } = loadAddon().connectAbstract(lockName(bridge));
    loadAddon().closeFd(fd);
    peer = found;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ECONNREFUSED")
      return ok(`nobody listens at ${name}`);
  }
  if (peer && trustedHolders(bridge, stateDir).has(peer.uid))
    return ok(`${describePeer(peer)} has the network on ${bridge} open`);
  const mend = peer?.pid ? [`kill ${peer.pid}`] : [];
  return warning(`${describePeer(peer)}, who is not trusted, listens at ${name}`, ...mend);
}
