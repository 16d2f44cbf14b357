// What openNetwork gives: the public interface of an open network and its promises.

import type { NetworkEvent } from "./events/subscription.js";
import type { GroupInfo } from "./groups/group-list.js";
import type { Allocation } from "./guests/guest.js";
import type { GuestIdentity } from "./identity/guest-identity.js";
import type { DropReason } from "./lease/drops.js";
import type { ReconcileOptions, ReconcileReport } from "./reconcile/reconcile.js";
import type { VerifyReport } from "./reconcile/verify.js";
import type {
  AllocationRequest,
  GroupLimitsRequest,
  LimitsRequest,
  RecreateOptions,
} from "./request.js";
import type { StoreDamage } from "./state/aside.js";
import type { NetworkStatistics } from "./statistics.js";

/** An open network. Made by openNetwork. */
export interface Network extends AsyncDisposable {
  /**
   * What was wrong with the standby leases on disk when the network opened, each also an event
   * (forknet:store-damaged). Empty when nothing was. Live guests do not depend on them.
   */
  readonly storeDamage: readonly StoreDamage[];
  /**
   * Resolves when the TAP exists, is on the bridge, isolated and up. The identity is visible at
   * once, as "pending". Rejects with CONFIG, ID_EXISTS, NAME_EXISTS, ADDRESS_IN_USE, EXHAUSTED,
   * CONFLICT, ABORTED, KERNEL, WORKER or ROLLBACK; then the kernel is as it was.
   */
  createAllocation(
    request: AllocationRequest,
    options?: { signal?: AbortSignal },
  ): Promise<Allocation>;
  /**
   * Deletes the TAP and keeps the identity and limits on disk. Resolves when both are done; in
   * standby already: at once. What is kept survives a loss of power. A disk that is full or fails
   * (KERNEL) or has become read-only (PERMISSION) leaves the guest active, with its TAP and limits.
   * So does a kernel that keeps the TAP. When that will not arm the guest again either (ROLLBACK),
   * the guest is cut off, "releasing": `reconcile` makes it active, another call goes on.
   */
  standbyAllocation(instanceId: string): Promise<void>;
  /**
   * Brings a guest in standby back with its name, IP, MAC and limits; what is given replaces the
   * stored. Resolves also when the disk refuses to forget the record (forknet:store-failed): a live
   * guest outweighs it.
   */
  recreateAllocation(instanceId: string, options?: RecreateOptions): Promise<Allocation>;
  /**
   * Idempotent. Traffic stops at once; resolves when the kernel objects are gone and the identity
   * is free.
   */
  releaseAllocation(instanceId: string): Promise<void>;
  /**
   * Changes limits in place, without losing a packet, but for one case: a download limit under 66
   * mbit that shrinks drops what waits in its queue; so does the first change of an upload after an
   * upgrade from the release before. A side that is left out stays, `null` takes its limit away. On failure the former limits hold.
   */
  updateLimits(instanceId: string, limits: LimitsRequest): Promise<void>;
  /**
   * Tells the programs at the guest's TAP what the guest believes to be from now on; `null`: what it
   * is. One map write: for a guest that has just been given another address. Rejects with CONFIG,
   * also where the network does not translate, with NOT_FOUND for a guest in standby, and with
   * KERNEL or PERMISSION; then the former identity holds. ROLLBACK, when the way back was refused,
   * too, names what was not brought back.
   */
  updateGuest(instanceId: string, guest: GuestIdentity | null): Promise<void>;
  /**
   * Bounds the uploads of all guests of a group together and guarantees them a part of
   * uploadCapacity, also before the first of them comes and after the last has gone; `null` takes
   * the limits away, and the guests stay as they are. Takes effect in place, without losing a packet;
   * durable when it resolves. Rejects with CONFIG, with EXHAUSTED for a ceil under what the group's
   * guests are guaranteed or a rate over what uploadCapacity has left, and with KERNEL or PERMISSION
   * when kernel or disk refuse; then the former limits hold.
   */
  setGroupLimits(name: string, limits: GroupLimitsRequest | null): Promise<void>;
  /** The groups that have limits or a guest, in standby or not, by name. */
  listGroups(): GroupInfo[];
  /** The guest's allocation, pending ones included; undefined when there is no such guest. */
  getAllocation(instanceId: string): Allocation | undefined;
  /** All of them, pending and standby ones included. */
  listAllocations(): Allocation[];
  /** Whether a guest, pending ones included, has this instance name. */
  nameExists(name: string): boolean;
  /**
   * Frames dropped so far by the programs at the TAPs and at the shaper, by reason; they outlive
   * this process.
   */
  drops(): Record<DropReason, number>;
  /**
   * Bytes, packets, drops and backlog of every guest that has a TAP, both ways, read from the kernel
   * in one pass in the background: no fork waits for it. Rejects with KERNEL.
   */
  statistics(): Promise<NetworkStatistics>;
  /**
   * One bounded pass that brings network and kernel together: repairs what differs at live guests,
   * deletes what is ours and nobody has; see ReconcileOptions. Forks go on meanwhile. Rejects with
   * CONFIG, and with KERNEL when the kernel cannot be read.
   */
  reconcile(options?: ReconcileOptions): Promise<ReconcileReport>;
  /**
   * Reads back what the kernel enforces, for one guest or for all and the network itself, and tells
   * what differs from what it should be. Changes nothing: reconcile does, by the same comparison.
   * Rejects with NOT_FOUND.
   */
  verify(instanceId?: string): Promise<VerifyReport>;
  /**
   * What happens from now on, until the network is closed or `signal` aborted: states of guests,
   * shaping, drift, what others change. The same as on the diagnostics channels (see Events). A reader
   * who does not keep up loses the oldest, and is told how many.
   */
  events(options?: { signal?: AbortSignal }): AsyncIterable<NetworkEvent>;
  /**
   * Finishes what was asked for, deletes unclaimed slots; running guests keep their network.
   * Idempotent.
   */
  close(): Promise<void>;
  /**
   * Releases every guest, standby ones included, and removes everything this network made. Then it
   * is closed.
   */
  destroy(): Promise<void>;
}
