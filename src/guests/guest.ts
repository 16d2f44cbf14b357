// One guest: what the network knows of it (Guest) and what the caller holds (Allocation, a live
// read-only view).

import type { SpanContext } from "@opentelemetry/api";
import { Deferred } from "../deferred.js";
import { isHeard, publish } from "../events/events.js";
import type { PortClaim } from "../identity/claims.js";
import { type ClassClaim, formatClass } from "../identity/class-pool.js";
import { formatInner, type GuestIdentity } from "../identity/guest-identity.js";
import { formatIpv4, formatMac, type Subnet } from "../identity/ipv4.js";
import type { TapOwner } from "../identity/tap-owner.js";
import { bootMs } from "../kernel/boot.js";
import type { Ipv4 } from "../kernel/messages.js";
import type { Lease } from "../lease/lease.js";
import type { KernelLimits } from "../limits.js";

/** Where a guest is in its life. */
export type AllocationState = "pending" | "active" | "standby" | "releasing";
/** How far the guest's own limits are. */
export type ShapingState = "none" | "pending" | "shaped" | "failed";

/**
 * What one VM got. A live view: `state`, `shaping`, `tap`, `ifindex`, `classId` follow the guest.
 */
export interface Allocation {
  /** As requested. */
  readonly instanceId: string;
  /** As requested. */
  readonly instanceName: string;
  /** Whose total limits its uploads count in. */
  readonly group: string | undefined;
  /** "10.100.0.7" */
  readonly ip: string;
  /** "02:00:0a:64:00:07" */
  readonly mac: string;
  /** What the guest believes instead, where that is translated at its TAP. */
  readonly guest: Required<GuestIdentity> | undefined;
  /** Who may open its TAP; undefined where the network's `tap.owner` and `tap.group` say it. */
  readonly owner: Readonly<TapOwner> | undefined;
  /** The bridge's address: the guest's default route. */
  readonly gateway: string;
  /** "255.255.0.0" */
  readonly netmask: string;
  /** Of the subnet: 16. */
  readonly prefixLength: number;
  /** As given to openNetwork. */
  readonly dns: readonly string[];
  /** Of the TAP, in bytes: what the guest's own interface should have. */
  readonly mtu: number;
  /** Name of the TAP device; "" in standby. */
  readonly tap: string;
  /** Of the TAP; 0 while pending and in standby. */
  readonly ifindex: number;
  /** HTB class on the shaper, "1:a0"; "" in standby. */
  readonly classId: string;
  /** "pending" until the TAP is up, then "active"; "standby" without one; "releasing" to the end. */
  readonly state: AllocationState;
  /**
   * "none" before there is a TAP and in standby; "pending" while base limits (or the block) hold;
   * "failed" when the kernel refused the limits: the base limits stay.
   */
  readonly shaping: ShapingState;
  /**
   * Settles when shaping did: rejects when it failed or the guest was released first. Never
   * unhandled.
   */
  readonly shaped: Promise<void>;
}

/** What all allocations of a network share; `bridge` is what its events name. */
export type AllocationFacts = Pick<
  Allocation,
  "gateway" | "netmask" | "prefixLength" | "dns" | "mtu"
> & {
  bridge: string;
};

export function allocationFacts({
  bridge,
  subnet: { gateway, mask, prefixLength },
  dns,
  mtu,
}: Pick<AllocationFacts, "bridge" | "dns" | "mtu"> & { subnet: Subnet }): AllocationFacts {
  const netmask = formatIpv4(mask);
  return { bridge, gateway: formatIpv4(gateway), netmask, prefixLength, dns, mtu };
}

export class Guest {
  lease: Lease;
  #state: AllocationState = "pending";
  #shaping: ShapingState = "none";
  readonly #bridge: string;
  /** In the registry: its changes are told. */
  #isKnown = false;
  shaped = new Deferred();
  /** TAP name and class; undefined in standby. */
  port: PortClaim | undefined;
  ifindex = 0;
  /** Who may open its TAP: the lease's owner, or the network's when the TAP was made. */
  tapOwner: TapOwner = {};
  /** The class it is going to have when it is shaped: the present one has another parent. */
  moving: ClassClaim | undefined;
  /** The warm slot that is being given this guest's identity; 0 when none is. */
  donorIfindex = 0;
  /** Its TAP is a warm slot that nobody has looked at since it was made. */
  isUnproved = false;
  /**
   * Its standby failed, and arming it again, too: disarmed, "releasing", its record kept. reconcile
   * or another standby ends that.
   */
  isCutOff = false;
  /** The limits the kernel enforces now; undefined when that is not known. */
  applied: KernelLimits | undefined;
  /** What its limits count in the sum of guarantees. */
  guaranteed = 0;
  /** The span of the fork, for the shaping trace to link to. */
  cause: SpanContext | undefined;
  forkedMs = 0;
  /** Settles when the creation under way has: then the guest is active, or gone. */
  creation: Promise<unknown> | undefined;
  /** Ends the creation under way: release and the caller's signal overtake it. */
  abandon: ((reason: Error) => void) | undefined;
  /** The release under way, shared by all who ask for one. */
  releasing: Promise<void> | undefined;
  /** Standby, restore and update of one guest run one after the other. */
  turn: Promise<unknown> = Promise.resolve();
  /** On the boot's clock; of a guest whose age is not known, when this process first saw it. */
  readonly bornMs: number;
  readonly view: Allocation;

  constructor(lease: Lease, facts: AllocationFacts) {
    this.lease = lease;
    this.bornMs = lease.createdBootMs ?? bootMs();
    this.#bridge = facts.bridge;
    this.view = new GuestView(this, facts);
  }

  get state(): AllocationState {
    return this.#state;
  }
  set state(state: AllocationState) {
    const former = this.#state;
    this.#state = state;
    if (state !== former && this.#isKnown) this.#tell(state, former);
  }

  get shaping(): ShapingState {
    return this.#shaping;
  }
  set shaping(shaping: ShapingState) {
    const isNews = shaping === "shaped" && this.#shaping !== shaping;
    this.#shaping = shaping;
    if (!isNews || !isHeard("forknet:shaped")) return;
    publish("forknet:shaped", { bridge: this.#bridge, instanceId: this.id });
  }

  /** It is in the registry, from now on, or no more. */
  set isKnown(isKnown: boolean) {
    this.#isKnown = isKnown;
    if (isKnown) this.#tell(this.#state, "none");
    else this.#tell("gone", this.#state);
  }

  get id(): string {
    return this.lease.instanceId;
  }

  get ip(): Ipv4 {
    return this.lease.ip;
  }

  #tell(state: AllocationState | "gone", former: AllocationState | "none"): void {
    if (!isHeard("forknet:allocation")) return;
    publish("forknet:allocation", { bridge: this.#bridge, instanceId: this.id, state, former });
  }
}

/** Nothing but getters: texts are made when somebody reads them, not on the path of a fork. */
class GuestView implements Allocation {
  readonly #guest: Guest;
  readonly #facts: AllocationFacts;

  constructor(guest: Guest, facts: AllocationFacts) {
    this.#guest = guest;
    this.#facts = facts;
  }

  get instanceId(): string {
    return this.#guest.lease.instanceId;
  }
  get instanceName(): string {
    return this.#guest.lease.instanceName;
  }
  get group(): string | undefined {
    return this.#guest.lease.group;
  }
  get ip(): string {
    return formatIpv4(this.#guest.lease.ip);
  }
  get mac(): string {
    return formatMac(this.#guest.lease.mac);
  }
  get guest(): Required<GuestIdentity> | undefined {
    const { guest } = this.#guest.lease;
    return guest && formatInner(guest);
  }
  get owner(): Readonly<TapOwner> | undefined {
    const { owner } = this.#guest.lease;
    return owner && { ...owner };
  }
  get gateway(): string {
    return this.#facts.gateway;
  }
  get netmask(): string {
    return this.#facts.netmask;
  }
  get prefixLength(): number {
    return this.#facts.prefixLength;
  }
  get dns(): readonly string[] {
    return this.#facts.dns;
  }
  get mtu(): number {
    return this.#facts.mtu;
  }
  get tap(): string {
    return this.#guest.port?.tapName ?? "";
  }
  get ifindex(): number {
    return this.#guest.ifindex;
  }
  get classId(): string {
    const { port } = this.#guest;
    return port ? formatClass(port.class.minor) : "";
  }
  get state(): AllocationState {
    return this.#guest.state;
  }
  get shaping(): ShapingState {
    return this.#guest.shaping;
  }
  get shaped(): Promise<void> {
    return this.#guest.shaped.promise;
  }

  /** Everything but the promise. */
  toJSON(): Omit<Allocation, "shaped"> {
    const { instanceId, instanceName, group, ip, mac, guest, owner } = this;
    const { gateway, netmask, prefixLength, dns, mtu } = this;
    const { tap, ifindex, classId, state, shaping } = this;
    const labels = { instanceId, instanceName, group };
    const route = { gateway, netmask, prefixLength, dns, mtu };
    const fixed = { ...labels, ip, mac, guest, owner, ...route };
    return { ...fixed, tap, ifindex, classId, state, shaping };
  }

  /** What console.log shows. */
  [Symbol.for("nodejs.util.inspect.custom")](): Omit<Allocation, "shaped"> {
    return this.toJSON();
  }
}
