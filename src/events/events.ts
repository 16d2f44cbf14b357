// What a host agent may want to log: published on Node's diagnostics channels, free when nobody
// listens.

import diagnostics, { type Channel } from "node:diagnostics_channel";
import type { ForknetError } from "../errors.js";
import type { AllocationState } from "../guests/guest.js";
import type { ChangedObject } from "../kernel/changes.js";
import type { ChangedBy } from "../nat/ruleset.js";
import type { Difference, Warning } from "../plans/finding.js";
import type { StoreDamage } from "../state/aside.js";

/** Names of the channels and what their messages hold. */
export interface Events {
  /** A guest came, went, or changed its state; "none" and "gone" are before and after its life. */
  "forknet:allocation": {
    bridge: string;
    instanceId: string;
    state: AllocationState | "gone";
    former: AllocationState | "none";
  };
  /** A guest's limits are in place: those of its fork, or of a change. */
  "forknet:shaped": { bridge: string; instanceId: string };
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
   * A process opened the TAP of a warm slot, which is no guest's. The slot was deleted, and with it
   * the process's queue; the next are made a second later. A process can do it when its uid is that
   * of `tap.owner`: see `owner` of AllocationRequest. Best effort.
   */
  "forknet:slot-opened": { bridge: string; tap: string };
  /**
   * Standby leases or limits of groups on disk could not be used as they were, or somebody removed
   * or replaced them while they were in use; `kept` of them go on. Also in `network.storeDamage`.
   */
  "forknet:store-damaged": { bridge: string } & StoreDamage;
  /** The record of a restored guest could not be removed; the live guest outweighs it. */
  "forknet:store-failed": { bridge: string; instanceId: string; error: ForknetError };
  /**
   * Somebody else changed a link, queue, class, filter or entry of this network, as the kernel told.
   * `subject`: an instance id, or the name of the bridge, the shaper or a warm slot's TAP.
   */
  "forknet:changed-outside": {
    bridge: string;
    subject: string;
    object: ChangedObject;
    removed: boolean;
  };
  /**
   * What a look after such a change found not to be as it should be: reconcile repairs it. What is
   * about the firewall is put back at once unless `nat.repair` is false; `by` is the process that
   * changed rules last, where that can be told.
   */
  "forknet:drift": { bridge: string; subject: string; by?: ChangedBy } & Difference;
  /**
   * Somebody changes the firewall's rules again and again: they were put back ten times within a
   * minute, and go on to be. Once a minute. `by`: the last process that did, where that can be told.
   */
  "forknet:firewall-contested": { bridge: string; repairs: number; by?: ChangedBy };
  /** The kernel told more than could be taken in; everything was looked at instead. */
  "forknet:overrun": { bridge: string };
  /** reconcile, or the watch over the firewall, put something right; `subject` is an instance id, or the bridge's or shaper's name. */
  "forknet:repaired": { bridge: string; subject: string } & Difference;
  /** What was found could not be put right. */
  "forknet:repair-failed": { bridge: string; subject: string; error: ForknetError };
  /**
   * Something of others stands in the way of a network that opened all the same, because its guests
   * live; VerifyReport.warnings tells it for as long as it is so.
   */
  "forknet:warning": { bridge: string } & Warning;
  /**
   * Somebody who is not trusted listens at the name of the network's lock, in the abstract namespace
   * of unix sockets: he counts for nothing, the lock of the state directory decides alone, and the
   * name is taken when it is free. `pid` 0, `uid` undefined: he does not say who he is.
   */
  "forknet:name-taken": { bridge: string; name: string; pid: number; uid: number | undefined };
  /** There is no control socket, or no record of the options: `forknet` can read, and no more. */
  "forknet:control-failed": { bridge: string; error: ForknetError };
  /**
   * A guest is gone, but not its flows from connection tracking. Its address stays out of use until a
   * reconcile has them forgotten. Where the kernel cannot be asked (EINVAL or EPROTONOSUPPORT: no
   * nf_conntrack_netlink), and when a network opens (`ip` is the subnet, "10.100.0.0/16"), late answers
   * may reach the next guest with the address.
   */
  "forknet:flows-kept": { bridge: string; ip: string; error: ForknetError };
  /** A TAP could not be deleted in the background. */
  "forknet:reap-failed": { bridge: string; tap: string; error: ForknetError };
  /**
   * A worker thread died, and is started again: calls it had under way are repeated where that is
   * safe, and reject with WORKER where it is not. `error.cause` is what it died of.
   */
  "forknet:worker-lost": {
    bridge: string;
    worker: "create" | "shape" | "reap";
    error: ForknetError;
  };
}

/** Held, because the hot path asks them whether anybody listens. */
const channels: { [Name in keyof Events]: Channel } = {
  "forknet:allocation": diagnostics.channel("forknet:allocation"),
  "forknet:shaped": diagnostics.channel("forknet:shaped"),
  "forknet:shaping-failed": diagnostics.channel("forknet:shaping-failed"),
  "forknet:pool-failed": diagnostics.channel("forknet:pool-failed"),
  "forknet:slot-lost": diagnostics.channel("forknet:slot-lost"),
  "forknet:slot-opened": diagnostics.channel("forknet:slot-opened"),
  "forknet:store-damaged": diagnostics.channel("forknet:store-damaged"),
  "forknet:store-failed": diagnostics.channel("forknet:store-failed"),
  "forknet:changed-outside": diagnostics.channel("forknet:changed-outside"),
  "forknet:drift": diagnostics.channel("forknet:drift"),
  "forknet:firewall-contested": diagnostics.channel("forknet:firewall-contested"),
  "forknet:overrun": diagnostics.channel("forknet:overrun"),
  "forknet:repaired": diagnostics.channel("forknet:repaired"),
  "forknet:repair-failed": diagnostics.channel("forknet:repair-failed"),
  "forknet:flows-kept": diagnostics.channel("forknet:flows-kept"),
  "forknet:reap-failed": diagnostics.channel("forknet:reap-failed"),
  "forknet:warning": diagnostics.channel("forknet:warning"),
  "forknet:worker-lost": diagnostics.channel("forknet:worker-lost"),
  "forknet:control-failed": diagnostics.channel("forknet:control-failed"),
  "forknet:name-taken": diagnostics.channel("forknet:name-taken"),
};

export const EVENT_NAMES = Object.keys(channels) as (keyof Events)[];

export function publish<Name extends keyof Events>(name: Name, message: Events[Name]): void {
  channels[name].publish(message);
}

/** False: a message need not even be made. */
export function isHeard(name: keyof Events): boolean {
  return channels[name].hasSubscribers;
}
