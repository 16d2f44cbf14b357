// Identities that nobody has and nobody may get: an operation failed, and so did its undo, so that
// objects of theirs may still be in the kernel. reconcile proves that they are gone. Others have flows
// that the kernel did not forget when it was asked.

import type { Ipv4, Mac } from "../kernel/messages.js";
import type { AddressClaim, PortClaim } from "./claims.js";

/** What may be left in the kernel, as far as there can be any. Plain data. */
export interface Remains {
  tapName: string;
  /** Of the TAP, where it is known: its name may have been changed half way. */
  ifindex?: number;
  /** Of the permanent neighbour on the bridge. */
  ip: Ipv4;
  mac?: Mac;
  /** A class that was to be added. */
  classMinor?: number;
  /** Not known to be ours: only somebody else takes it away. */
  isUnproved?: true;
  /** Nothing else is left: no TAP, whose name is "". */
  hasFlows?: true;
}

/** What making a slot of this identity can leave. A class that was there before is no leftover. */
export function remainsOf(address: AddressClaim, port: PortClaim): Remains {
  const { tapName, class: claim } = port;
  const { ip, mac } = address;
  return { tapName, ip, mac, ...(claim.exists ? {} : { classMinor: claim.minor }) };
}

/** One identity that is kept out of use. */
export interface Stranded {
  readonly remains: Remains;
  /** Lets others have it. Rejects where flows are left: then it is stranded again. */
  readonly giveBack: () => Promise<void>;
}

export class StrandedIdentities {
  readonly #all = new Set<Stranded>();

  /** Keeps an identity out of use until `free`. */
  add(remains: Remains, giveBack: () => Promise<void>): void {
    this.#all.add({ remains, giveBack });
  }

  all(): Stranded[] {
    return [...this.#all];
  }

  /** Everything of it is proved to be gone. */
  async free(one: Stranded): Promise<void> {
    if (this.#all.delete(one)) await one.giveBack();
  }
}
