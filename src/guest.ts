// One guest: what the network knows of it (Guest) and what the caller holds (Allocation, a live
// read-only view).

import type { SpanContext } from "@opentelemetry/api";
import { Deferred } from "./deferred.js";
import { formatClass } from "./identity/class-pool.js";
import type { PortClaim } from "./identity/identities.js";
import { formatIpv4, formatMac, type Subnet } from "./identity/ipv4.js";
import type { Ipv4 } from "./kernel/messages.js";
import type { Lease } from "./lease/lease.js";
import type { KernelLimits } from "./limits.js";

export type AllocationState = "pending" | "active" | "standby" | "releasing";
export type ShapingState = "none" | "pending" | "shaped" | "failed";

/**
 * What one VM got. A live view: `state`, `shaping`, `tap`, `ifindex`, `classId` follow the guest.
 */
export interface Allocation {
  readonly instanceId: string;
  readonly instanceName: string;
  /** "10.100.0.7" */
  readonly ip: string;
  /** "02:00:0a:64:00:07" */
  readonly mac: string;
  readonly gateway: string;
  /** "255.255.0.0" */
  readonly netmask: string;
  readonly prefixLength: number;
  readonly dns: readonly string[];
  /** Name of the TAP device; "" in standby. */
  readonly tap: string;
  /** Of the TAP; 0 while pending and in standby. */
  readonly ifindex: number;
  /** HTB class on the shaper, "1:a0"; "" in standby. */
  readonly classId: string;
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

/** What all allocations of a network share. */
export interface AllocationFacts {
  subnet: Subnet;
  dns: readonly string[];
}

export class Guest {
  lease: Lease;
  state: AllocationState = "pending";
  shaping: ShapingState = "none";
  shaped = new Deferred();
  /** TAP name and class; undefined in standby. */
  port: PortClaim | undefined;
  ifindex = 0;
  /** The warm slot that is being given this guest's identity; 0 when none is. */
  donorIfindex = 0;
  /** Its TAP is a warm slot that nobody has looked at since it was made. */
  isUnproved = false;
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
  readonly view: Allocation;

  constructor(lease: Lease, facts: AllocationFacts) {
    this.lease = lease;
    this.view = new GuestView(this, facts);
  }

  get id(): string {
    return this.lease.instanceId;
  }

  get ip(): Ipv4 {
    return this.lease.ip;
  }
}

class GuestView implements Allocation {
  readonly instanceId: string;
  readonly instanceName: string;
  readonly ip: string;
  readonly mac: string;
  readonly gateway: string;
  readonly netmask: string;
  readonly prefixLength: number;
  readonly dns: readonly string[];
  readonly #guest: Guest;

  constructor(guest: Guest, { subnet, dns }: AllocationFacts) {
    this.#guest = guest;
    this.instanceId = guest.lease.instanceId;
    this.instanceName = guest.lease.instanceName;
    this.ip = formatIpv4(guest.lease.ip);
    this.mac = formatMac(guest.lease.mac);
    this.gateway = formatIpv4(subnet.gateway);
    this.netmask = formatIpv4(subnet.mask);
    this.prefixLength = subnet.prefixLength;
    this.dns = dns;
    Object.freeze(this);
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

  /** What JSON.stringify and console.log show: the getters too, without the promise. */
  toJSON(): Omit<Allocation, "shaped"> {
    const { tap, ifindex, classId, state, shaping } = this;
    const { instanceId, instanceName, ip, mac, gateway, netmask, prefixLength, dns } = this;
    const fixed = { instanceId, instanceName, ip, mac, gateway, netmask, prefixLength, dns };
    return { ...fixed, tap, ifindex, classId, state, shaping };
  }
}
