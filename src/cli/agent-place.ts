// A state directory as a command sees it, and the way to the agent that has it open.

import { ControlClient, servedBy } from "../control/client.js";
import { describePeer } from "../lock-name.js";
import { Directory } from "../state/directory.js";
import type { Holder } from "./holder.js";

export class AgentPlace {
  readonly stateDir: string;
  /** Undefined when it does not exist or may not be used. */
  readonly directory: Directory | undefined;
  client: ControlClient | undefined;
  /** Why the agent cannot be asked: Node's error, or PERMISSION for who is not trusted. */
  obstacle: NodeJS.ErrnoException | undefined;

  constructor(stateDir: string) {
    this.stateDir = stateDir;
    try {
      // Root takes whoever has the directory for its agent's user.
      this.directory = Directory.find(stateDir, true);
      if (!this.directory) throw Object.assign(new Error(stateDir), { code: "ENOENT" });
      this.client = ControlClient.connect(this.directory);
    } catch (error) {
      this.obstacle = error as NodeJS.ErrnoException;
    }
  }

  /** Who serves the socket is not believed when another user holds the network. */
  distrustUnless(holder: Holder): void {
    if (!this.client || !this.directory || this.client.peer.uid === holder.uid) return;
    const why = `and the network is held by ${describePeer(holder)}`;
    this.obstacle = servedBy(this.directory, this.client.peer, why);
    this.client.close();
    this.client = undefined;
  }

  /** The pid in the lock file; 0 when it does not tell. */
  get lockedBy(): number {
    try {
      return Number(this.directory?.read("lock")?.content.toString("latin1")) || 0;
    } catch {
      return 0;
    }
  }

  close(): void {
    this.client?.close();
    this.directory?.close();
  }
}
