// What connection tracking keeps of a guest that is gone: late answers to it would reach the next guest
// with its address.

import type { ForknetError } from "../errors.js";
import { publish } from "../events/events.js";
import { formatIpv4, type Subnet } from "../identity/ipv4.js";
import type { Ipv4 } from "../kernel/messages.js";
import type { Lane } from "../lanes/lane.js";
import type { ForgetJob } from "../plans/forget.js";

/**
 * Whether anything is tracked is the host's business: its own firewall may do it where the network
 * has no NAT. The kernel says how many flows there are, and where there are none nothing is asked.
 */
export class Flows {
  readonly #bridge: string;
  readonly #lane: Lane<ForgetJob, undefined>;

  constructor(bridge: string, lane: Lane<ForgetJob, undefined>) {
    this.#bridge = bridge;
    this.#lane = lane;
  }

  /**
   * Resolves when no flow of the address is known any more, or with the reason why one may be; that
   * is an event, too. Whoever had the address must not be able to send.
   */
  async forget(ip: Ipv4): Promise<ForknetError | undefined> {
    const error = await this.#ask(ip, formatIpv4(ip));
    return error && !isWithout(error) ? error : undefined;
  }

  /** The same for all addresses of a subnet but these: an earlier process may have died before it. */
  async forgetBut(subnet: Subnet, kept: readonly Ipv4[]): Promise<void> {
    await this.#ask({ subnet, kept }, `${formatIpv4(subnet.network)}/${subnet.prefixLength}`);
  }

  async #ask(job: ForgetJob, ip: string): Promise<ForknetError | undefined> {
    try {
      await this.#lane.submit(job).done;
      return undefined;
    } catch (given) {
      const error = given as ForknetError;
      publish("forknet:flows-kept", { bridge: this.#bridge, ip, error });
      return error;
    }
  }
}

/**
 * No nf_conntrack_netlink: nobody can ask this kernel, now or later, and addresses that never come
 * back would end the network. EINVAL is nfnetlink's answer where the part of connection tracking is
 * missing.
 */
function isWithout({ errnoName }: ForknetError): boolean {
  return errnoName === "EINVAL" || errnoName === "EPROTONOSUPPORT";
}
