// An open network at work: checks each call, measures it, and hands it to the part that does it.

import type { Span } from "@opentelemetry/api";
import { forgetOptions } from "./control/former-options.js";
import { ForknetError } from "./errors.js";
import { FirewallWatch } from "./events/firewall-watch.js";
import { Monitor } from "./events/monitor.js";
import { type NetworkEvent, subscription } from "./events/subscription.js";
import { type GroupInfo, listGroups } from "./groups/group-list.js";
import { BringUp } from "./guests/bring-up.js";
import { aborted } from "./guests/creation.js";
import type { Allocation, Guest } from "./guests/guest.js";
import { changeGuest } from "./guests/guest-change.js";
import { LimitsChange } from "./guests/limits-change.js";
import { forgetRecord, inTurn, mustBe, Removal } from "./guests/removal.js";
import type { GuestIdentity } from "./identity/guest-identity.js";
import { type DropReason, readDrops } from "./lease/drops.js";
import type { Network } from "./network.js";
import type { Parts } from "./parts.js";
import { type ReconcileOptions, type ReconcileReport, Reconciler } from "./reconcile/reconcile.js";
import { type VerifyReport, verify } from "./reconcile/verify.js";
import {
  type AllocationRequest,
  checkLabel,
  type GroupLimitsRequest,
  type LimitsRequest,
  type RecreateOptions,
  resolveGroupLimits,
  resolveGuest,
  resolveRecreate,
  resolveRequest,
  resolveUpdate,
} from "./request.js";
import type { StoreDamage } from "./state/aside.js";
import { type NetworkStatistics, statistics } from "./statistics.js";
import { measured, type SetSlot } from "./telemetry/operation.js";

export class OpenNetwork implements Network {
  readonly storeDamage: readonly StoreDamage[];
  readonly #parts: Parts;
  readonly #bringUp: BringUp;
  readonly #removal: Removal;
  readonly #limitsChange: LimitsChange;
  readonly #reconciler: Reconciler;
  readonly #monitor: Monitor;
  readonly #firewallWatch: FirewallWatch;
  /** Ends the readers of events(). */
  readonly #end = new AbortController();
  readonly #shutDown: () => Promise<void>;
  #closing: Promise<void> | undefined;

  /** `shutDown` ends what open.ts started: threads, store, lock, file descriptors. */
  constructor(parts: Parts, storeDamage: readonly StoreDamage[], shutDown: () => Promise<void>) {
    this.storeDamage = storeDamage;
    this.#parts = parts;
    this.#bringUp = new BringUp(parts);
    this.#removal = new Removal(parts);
    this.#limitsChange = new LimitsChange(parts);
    this.#reconciler = new Reconciler(parts, {
      release: (guest) => this.#release(guest),
      standby: (guest) => this.#standby(guest),
    });
    this.#monitor = new Monitor(parts);
    this.#firewallWatch = new FirewallWatch(parts);
    this.#shutDown = shutDown;
  }

  /** Puts in order, in the background, what an earlier process left. */
  cleanUp(): void {
    void this.#reconciler.settle();
  }

  // Async for the refusals: what a warm slot serves is there when the call returns.
  async createAllocation(
    request: AllocationRequest,
    options: { signal?: AbortSignal } = {},
  ): Promise<Allocation> {
    this.#assertOpen();
    const resolved = resolveRequest(request, this.#parts.options);
    assertNotAborted(options.signal);
    return this.#measured("create_allocation", resolved.instanceId, (span, setSlot) =>
      this.#bringUp.create(resolved, { span, setSlot, signal: options.signal }),
    );
  }

  async recreateAllocation(instanceId: string, options: RecreateOptions = {}): Promise<Allocation> {
    const guest = this.#find(instanceId);
    const wishes = () => resolveRecreate(options, guest.lease.limits, this.#parts.options);
    wishes();
    assertNotAborted(options.signal);
    return inTurn(guest, async () =>
      this.#measured("recreate_allocation", instanceId, async (span, setSlot) => {
        mustBe(guest, "standby");
        assertNotAborted(options.signal);
        await this.#bringUp.again(guest, wishes(), { span, setSlot, signal: options.signal });
        await forgetRecord(this.#parts, guest);
        return guest.view;
      }),
    );
  }

  async standbyAllocation(instanceId: string): Promise<void> {
    await this.#standby(this.#find(instanceId));
  }

  async releaseAllocation(instanceId: string): Promise<void> {
    this.#assertOpen();
    const guest = this.#parts.registry.get(checkLabel(instanceId, "instanceId"));
    if (guest) await this.#release(guest);
  }

  async updateLimits(instanceId: string, limits: LimitsRequest): Promise<void> {
    const guest = this.#find(instanceId);
    const wished = () => resolveUpdate(limits, guest.lease.limits, this.#parts.options);
    wished();
    await inTurn(guest, async () => {
      await guest.creation?.catch(() => {});
      if (guest.state !== "standby" || guest.releasing) mustBe(guest, "active");
      await this.#measured("update_limits", instanceId, (span) =>
        this.#limitsChange.apply(guest, wished(), span),
      );
    });
  }

  async updateGuest(instanceId: string, given: GuestIdentity | null): Promise<void> {
    const guest = this.#find(instanceId);
    const wished = resolveGuest(given, guest.lease, this.#parts.options);
    await inTurn(guest, async () => {
      await guest.creation?.catch(() => {});
      mustBe(guest, "active");
      await this.#measured("update_guest", instanceId, () =>
        changeGuest(this.#parts, guest, wished),
      );
    });
  }

  async setGroupLimits(name: string, limits: GroupLimitsRequest | null): Promise<void> {
    this.#assertOpen();
    checkLabel(name, "name");
    await this.#parts.groups.setLimits(name, resolveGroupLimits(limits));
  }

  listGroups(): GroupInfo[] {
    return listGroups(this.#parts);
  }

  getAllocation(instanceId: string): Allocation | undefined {
    return this.#parts.registry.get(instanceId)?.view;
  }

  listAllocations(): Allocation[] {
    return this.#parts.registry.all().map((guest) => guest.view);
  }

  nameExists(name: string): boolean {
    return this.#parts.registry.hasName(name);
  }

  drops(): Record<DropReason, number> {
    this.#assertOpen();
    return readDrops(this.#parts.facts.maps.drops);
  }

  async statistics(): Promise<NetworkStatistics> {
    this.#assertOpen();
    return statistics(this.#parts);
  }

  async reconcile(options: ReconcileOptions = {}): Promise<ReconcileReport> {
    this.#assertOpen();
    return this.#reconciler.run(options);
  }

  async verify(instanceId?: string): Promise<VerifyReport> {
    this.#assertOpen();
    if (instanceId !== undefined) checkLabel(instanceId, "instanceId");
    return verify(this.#parts, instanceId, instanceId === undefined);
  }

  events({ signal }: { signal?: AbortSignal } = {}): AsyncIterable<NetworkEvent> {
    this.#assertOpen();
    const signals = signal ? [this.#end.signal, signal] : [this.#end.signal];
    return subscription(this.#parts.facts.bridge.name, signals);
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  async destroy(): Promise<void> {
    this.#assertOpen();
    this.#closing = this.#dismantle();
    await this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #release(guest: Guest): Promise<void> {
    if (guest.releasing) return guest.releasing;
    await this.#measured("release_allocation", guest.id, (span) =>
      this.#removal.release(guest, span),
    );
  }

  #standby(guest: Guest): Promise<void> {
    return inTurn(guest, async () => {
      await guest.creation?.catch(() => {});
      if (guest.state === "standby" && !guest.releasing) return;
      if (!guest.isCutOff) mustBe(guest, "active");
      await this.#measured("standby_allocation", guest.id, (span) =>
        this.#removal.standby(guest, span),
      );
    });
  }

  async #dismantle(): Promise<void> {
    const { registry, lanes, standby, groupStore, options, nat, state } = this.#parts;
    const released = await Promise.allSettled(registry.all().map((guest) => this.#release(guest)));
    await this.#finish(async () => {
      // A TAP that could not be deleted keeps the bridge: what is left stays recognisable as ours.
      for (const result of released) if (result.status === "rejected") throw result.reason;
      await standby.clear();
      await groupStore.clear();
      await lanes.destroy(options.subnet);
      // Last: as long as a guest could be there, the firewall is.
      await nat.remove();
      await forgetOptions(state);
    });
  }

  /** Waits for what was asked for, empties the pool, runs `last`, and ends everything. */
  async #finish(last: () => Promise<void> = async () => {}): Promise<void> {
    const { groups, lanes, pool, registry, shaping } = this.#parts;
    const underWay = registry
      .all()
      .flatMap(({ turn, creation, releasing }) => [turn, creation, releasing])
      .filter((promise) => promise !== undefined);
    try {
      await Promise.all([this.#monitor.stop(), this.#firewallWatch.stop()]);
      await Promise.allSettled([...underWay, ...groups.underWay, this.#reconciler.stop()]);
      await pool.drain();
      shaping.beginAll();
      await lanes.idle();
      await last();
    } finally {
      await this.#shutDown();
      this.#end.abort();
    }
  }

  #find(instanceId: string): Guest {
    this.#assertOpen();
    return this.#parts.registry.must(checkLabel(instanceId, "instanceId"));
  }

  #assertOpen(): void {
    if (!this.#closing) return;
    throw new ForknetError(
      "ERR_FORKNET_CLOSED",
      `the network on ${this.#parts.facts.bridge.name} is closed`,
    );
  }

  /** Runs an operation inside its span and its duration histogram. */
  #measured<T>(
    operation: string,
    instanceId: string,
    run: (span: Span, setSlot: SetSlot) => T | Promise<T>,
  ): T | Promise<T> {
    const { facts, metrics } = this.#parts;
    return measured({ operation, instanceId, bridge: facts.bridge.name }, metrics, run);
  }
}

function assertNotAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted("aborted before anything was done", signal.reason);
}
