// A state directory as a command sees it, and the way to the agent that has it open.

import { ControlClient } from "../control/client.js";
import { Directory } from "../state/directory.js";

export class AgentPlace {
  readonly stateDir: string;
  /** Undefined when it does not exist or may not be used. */
  readonly directory: Directory | undefined;
  readonly client: ControlClient | undefined;
  /** Why the agent cannot be asked: Node's error, or PERMISSION for who is not trusted. */
  readonly obstacle: NodeJS.ErrnoException | undefined;

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
