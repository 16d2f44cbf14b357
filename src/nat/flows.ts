// What connection tracking keeps of a guest that is gone: late answers to it would reach the next guest
// with its address.

import type { ForknetError } from "../errors.js";
import { publish } from "../events/events.js";
import { formatIpv4 } from "../identity/ipv4.js";
import type { Ipv4 } from "../kernel/messages.js";
import type { Lane } from "../lanes/lane.js";

export class Flows {
  readonly #bridge: string;
  readonly #lane: Lane<Ipv4, undefined>;
  readonly #isTracked: boolean;

  /** `isTracked`: the network has NAT. Without, whether anything is tracked is the host's business. */
  constructor(bridge: string, lane: Lane<Ipv4, undefined>, isTracked: boolean) {
    this.#bridge = bridge;
    this.#lane = lane;
    this.#isTracked = isTracked;
  }

  /**
   * Resolves when no flow of the address is known any more, or the kernel would not have it: that is
   * an event, and the address may be used all the same. Whoever had it must not be able to send.
   */
  async forget(ip: Ipv4): Promise<void> {
    if (!this.#isTracked) return;
    try {
      await this.#lane.submit(ip).done;
    } catch (error) {
      const failure = { ip: formatIpv4(ip), error: error as ForknetError };
      publish("forknet:flows-kept", { bridge: this.#bridge, ...failure });
    }
  }
}
