// Who is who in a network: addresses, MACs, TAP names and classes that are taken, and the next free
// ones. Claims are synchronous and all or nothing, so two forks in one tick never get the same.

import { ForknetError } from "../errors.js";
import type { Ipv4, Mac } from "../kernel/messages.js";
import { AddressPool } from "./address-pool.js";
import type { AddressClaim, PortClaim } from "./claims.js";
import { type ClassClaim, ClassPool, MOST_CLASSES } from "./class-pool.js";
import { contains, formatIpv4, formatMac, macOf, type Subnet } from "./ipv4.js";
import { StrandedIdentities } from "./stranded.js";

/** Longest name the kernel takes: IFNAMSIZ with its NUL is 16. */
const NAME_BYTES = 15;

/** From then on late answers to the address's former owner find nobody; resolves with why not. */
type ForgetFlows = (ip: Ipv4) => Promise<ForknetError | undefined>;

export class Identities {
  readonly #subnet: Subnet;
  readonly #forgetFlows: ForgetFlows;
  readonly #addresses: AddressPool;
  readonly #macs = new Set<Mac>();
  readonly #tapNames = new Set<string>();
  readonly #classes = new ClassPool();
  readonly stranded = new StrandedIdentities();

  constructor(subnet: Subnet, forgetFlows: ForgetFlows) {
    this.#subnet = subnet;
    this.#forgetFlows = forgetFlows;
    this.#addresses = new AddressPool(subnet);
    this.#macs.add(macOf(subnet.gateway));
  }

  get freeAddresses(): number {
    return this.#addresses.free;
  }

  /**
   * Takes the wished address and MAC, or the next ones. Throws ADDRESS_IN_USE or EXHAUSTED and
   * changes nothing.
   */
  claimAddress(wish: { ip?: Ipv4; mac?: Mac }): AddressClaim {
    if (wish.mac !== undefined && this.#macs.has(wish.mac)) throw taken("mac", formatMac(wish.mac));
    if (wish.ip !== undefined) return this.#claimExact(wish.ip, wish.mac ?? macOf(wish.ip));
    const passedOver: Ipv4[] = [];
    try {
      for (;;) {
        const ip = this.#addresses.take();
        if (ip === undefined) throw this.#exhausted();
        const mac = wish.mac ?? macOf(ip);
        if (!this.#macs.has(mac)) {
          this.#macs.add(mac);
          return { ip, mac };
        }
        // Somebody asked for this address's derived MAC with another IP.
        passedOver.push(ip);
      }
    } finally {
      for (const ip of passedOver) this.#addresses.release(ip);
    }
  }

  /**
   * Gives back what a guest had, which must not be able to send any more. Resolves when the address
   * is free: not before its flows are forgotten. Where that fails the address is stranded.
   */
  async releaseAddress(claim: AddressClaim): Promise<void> {
    await this.#whenForgotten(claim.ip, () => this.releaseUnused(claim));
  }

  /** Gives back what was never armed, and so never sent or received anything. */
  releaseUnused({ ip, mac }: AddressClaim): void {
    this.#addresses.release(ip);
    this.#macs.delete(mac);
  }

  /** Takes a TAP name (derived from the address unless wished) and a class under `parent`. */
  claimPort(ip: Ipv4, wishedName?: string, parent?: number): PortClaim {
    if (wishedName !== undefined && this.#tapNames.has(wishedName))
      throw taken("tapName", wishedName);
    const claim = this.claimClass(parent);
    const tapName = wishedName ?? this.#nameFor(ip);
    this.#tapNames.add(tapName);
    return { tapName, class: claim };
  }

  /** Takes a class under a group's class or the capacity class. Throws EXHAUSTED. */
  claimClass(parent?: number): ClassClaim {
    const claim = this.#classes.claim(parent);
    if (claim) return claim;
    const text = `no class is left on the shaper (${MOST_CLASSES} in use)`;
    throw new ForknetError("ERR_FORKNET_EXHAUSTED", text);
  }

  releaseClass({ minor }: Pick<ClassClaim, "minor">): void {
    this.#classes.release(minor);
  }

  /** Takes exactly this TAP name, for a port that has its class already. */
  claimName(tapName: string): string {
    if (this.#tapNames.has(tapName)) throw taken("tapName", tapName);
    this.#tapNames.add(tapName);
    return tapName;
  }

  releaseName(tapName: string): void {
    this.#tapNames.delete(tapName);
  }

  releasePort(port: PortClaim): void {
    this.#tapNames.delete(port.tapName);
    this.releaseClass(port.class);
  }

  /** The class of this claim is in the kernel from now on. */
  classCreated(claim: ClassClaim): void {
    this.#classes.created(claim);
  }

  /** Addresses that somebody has or that nobody can get. */
  get takenAddresses(): Ipv4[] {
    return this.#addresses.taken();
  }

  isTaken(ip: Ipv4): boolean {
    return this.#addresses.isTaken(ip);
  }

  /** Addresses of hosts beside the guests, and the MAC of their bridge: no guest gets them. */
  avoid(ips: readonly Ipv4[], bridgeMac: Mac): void {
    for (const ip of ips) this.#addresses.claim(ip);
    this.#macs.add(bridgeMac);
  }

  /** Classes on the shaper that are not this network's: nobody gets their minors. */
  avoidClasses(minors: readonly number[]): void {
    this.#classes.avoid(minors);
  }

  /** Minors of the classes that are in the kernel for the next guests. */
  get freeClasses(): number[] {
    return this.#classes.free;
  }

  /** Takes the free classes under a group's class. */
  takeClasses(parent: number): number[] {
    return this.#classes.takeAll(parent);
  }

  /** The class is in the kernel no more. */
  classLost(minor: number): void {
    this.#classes.lost(minor);
  }

  /**
   * Takes over what a live guest of an earlier process holds. Throws CONFLICT when two hold the
   * same.
   */
  adoptGuest(address: AddressClaim, tapName: string): void {
    if (this.#macs.has(address.mac)) throw twice(formatMac(address.mac));
    if (!this.adoptAddress(address)) throw twice(formatIpv4(address.ip));
    this.#tapNames.add(tapName);
  }

  /** Takes over what a standby lease holds; false, with nothing taken, when somebody has it. */
  adoptAddress({ ip, mac }: AddressClaim): boolean {
    if (this.#macs.has(mac) || !this.#addresses.claim(ip)) return false;
    this.#macs.add(mac);
    return true;
  }

  /**
   * Keeps an address, a TAP name and a MAC out of use, as far as nobody has them; the returned
   * function gives them back, as releaseAddress does: whose they were nobody knows.
   */
  hold(ip: Ipv4, tapName: string, mac?: Mac): () => Promise<void> {
    const heldAddress = contains(this.#subnet, ip) && this.#addresses.claim(ip);
    const heldName = !this.#tapNames.has(tapName);
    this.#tapNames.add(tapName);
    const heldMac = mac !== undefined && !this.#macs.has(mac);
    if (heldMac) this.#macs.add(mac);
    return async () => {
      if (heldName) this.#tapNames.delete(tapName);
      const free = () => {
        if (heldAddress) this.#addresses.release(ip);
        if (heldMac) this.#macs.delete(mac);
      };
      if (heldAddress) await this.#whenForgotten(ip, free);
      else free();
    };
  }

  async #whenForgotten(ip: Ipv4, free: () => void): Promise<ForknetError | undefined> {
    const reason = await this.#forgetFlows(ip);
    if (!reason) {
      free();
      return undefined;
    }
    this.stranded.add({ tapName: "", ip, hasFlows: true }, async () => {
      const again = await this.#whenForgotten(ip, free);
      if (again) throw again;
    });
    return reason;
  }

  adoptClass(minor: number, leafHandle: number, inUse: boolean, parent?: number): void {
    this.#classes.adopt(minor, leafHandle, inUse, parent);
  }

  #claimExact(ip: Ipv4, mac: Mac): AddressClaim {
    if (this.#macs.has(mac)) throw taken("mac", formatMac(mac));
    if (!this.#addresses.claim(ip)) throw taken("ip", formatIpv4(ip));
    this.#macs.add(mac);
    return { ip, mac };
  }

  /**
   * fk0a640007 for 10.100.0.7; with a letter behind when an exact wish of another guest took that.
   */
  #nameFor(ip: Ipv4): string {
    const name = `fk${ip.toString(16).padStart(8, "0")}`;
    for (let i = 0; ; i++) {
      const candidate = i === 0 ? name : `${name}-${i.toString(36)}`.slice(0, NAME_BYTES);
      if (!this.#tapNames.has(candidate)) return candidate;
    }
  }

  #exhausted(): ForknetError {
    const { network, prefixLength } = this.#subnet;
    const usable = 2 ** (32 - prefixLength) - 3;
    const text = `no address is left in ${formatIpv4(network)}/${prefixLength} (${usable} in use)`;
    return new ForknetError("ERR_FORKNET_EXHAUSTED", text);
  }
}

function taken(option: string, value: string): ForknetError {
  return new ForknetError("ERR_FORKNET_ADDRESS_IN_USE", `${option} ${value} is in use`);
}

function twice(value: string): ForknetError {
  return new ForknetError("ERR_FORKNET_CONFLICT", `two live TAPs claim ${value}`);
}
