// The kernel map that holds the leases of live guests, as the main thread uses it: arm, rewrite,
// disarm. Each is one system call of about a microsecond and takes no RTNL.

import { errorFromFailure } from "../errors.js";
import { loadAddon } from "../kernel/addon.js";
import type { Addon } from "../kernel/binding.js";
import { failureOf } from "../kernel/kernel.js";
import { encodeLease, LEASE_BYTES, type Lease } from "./lease.js";

export class LeaseTable {
  readonly #bpf: Addon["bpf"] = loadAddon().bpf;
  readonly #fd: number;
  // Reused by every call: nothing is kept of them after the system call.
  readonly #key = Buffer.alloc(4);
  readonly #value = Buffer.alloc(LEASE_BYTES);

  constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Writes the lease: from now on the guest's frames pass, it is classified, and it survives this
   * process.
   */
  arm(ifindex: number, lease: Lease): void {
    this.#key.writeUInt32LE(ifindex);
    this.#guarded(() => this.#bpf.mapSet(this.#fd, this.#key, encodeLease(lease, this.#value)));
  }

  /** Deletes the lease: from now on no frame passes either way. False when there was none. */
  disarm(ifindex: number): boolean {
    this.#key.writeUInt32LE(ifindex);
    return this.#guarded(() => this.#bpf.mapDelete(this.#fd, this.#key));
  }

  #guarded<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw errorFromFailure(failureOf(error, "BPF", ""));
    }
  }
}
