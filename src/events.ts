// What a host agent may want to log: published on Node's diagnostics channels, free when nobody
// listens.

import diagnostics from "node:diagnostics_channel";
import type { ForknetError } from "./errors.js";
import type { StoreDamage } from "./lease/standby-store.js";
import type { Difference } from "./plans/finding.js";

/** Names of the channels and what their messages hold. */
export interface Events {
  /** A guest's limits were refused; it stays at the base limits. */
  "forknet:shaping-failed": { bridge: string; instanceId: string; error: ForknetError };
  /** A warm slot could not be made; forks go on cold. Once for a run of failures, and whenever
   * something was left behind (ROLLBACK). */
  "forknet:pool-failed": { bridge: string; error: ForknetError };
  /**
   * A warm slot's TAP was deleted from outside; the slot was written off and the fork went on with
   * another.
   */
  "forknet:slot-lost": { bridge: string; tap: string };
  /**
   * Standby leases on disk could not be used as they were, and were moved aside; `kept` of them go
   * on. Also in `network.storeDamage`.
   */
  "forknet:store-damaged": { bridge: string } & StoreDamage;
  /** The record of a restored guest could not be removed; the live guest outweighs it. */
  "forknet:store-failed": { bridge: string; instanceId: string; error: ForknetError };
  /** reconcile put something right; `subject` is an instance id, or the bridge's or shaper's name. */
  "forknet:repaired": { bridge: string; subject: string } & Difference;
  /** What reconcile found could not be put right. */
  "forknet:repair-failed": { bridge: string; subject: string; error: ForknetError };
  /** There is no control socket, or no record of the options: `forknet` can read, and no more. */
  "forknet:control-failed": { bridge: string; error: ForknetError };
  /** A TAP could not be deleted in the background. */
  "forknet:reap-failed": { bridge: string; tap: string; error: ForknetError };
}

export function publish<Name extends keyof Events>(name: Name, message: Events[Name]): void {
  diagnostics.channel(name).publish(message);
}
