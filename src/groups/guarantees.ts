// The sum of the guaranteed upload rates against the capacity they share. HTB serves a guest's
// guarantee before it looks at any parent, so a sum over the capacity, or over a group's ceil, would
// silently break that instead of the guarantees.

import { type BitsPerSecond, formatBandwidth } from "../bandwidth.js";
import { ForknetError } from "../errors.js";
import type { GroupLimits } from "../limits.js";

/** What one group's guests have of the capacity. */
interface Share {
  limits: GroupLimits | null;
  /** Of its guests' guarantees. */
  sum: BitsPerSecond;
}

export class Guarantees {
  readonly #capacity: BitsPerSecond;
  readonly #shares = new Map<string, Share>();
  /** What counts against the capacity. */
  #sum = 0;

  constructor(capacity: BitsPerSecond) {
    this.#capacity = capacity;
  }

  /**
   * Replaces one guest's guarantee (0 for none) by another; throws EXHAUSTED and changes nothing
   * when its group's ceil or the capacity cannot hold more.
   */
  change(from: BitsPerSecond, to: BitsPerSecond, group?: string): void {
    if (group === undefined) this.#count(to - from, to > from);
    else {
      const { limits, sum } = this.#share(group);
      const after = sum - from + to;
      if (limits && to > from && after > limits.ceil)
        throw exhausted(`the upload ceil of group ${group}`, limits.ceil, to - from, sum);
      this.#put(group, { limits, sum: after }, to > from);
    }
  }

  /** Counts a guest that runs already, whatever the sum. */
  adopt(rate: BitsPerSecond, group?: string): void {
    if (group === undefined) this.#count(rate, false);
    else {
      const { limits, sum } = this.#share(group);
      this.#put(group, { limits, sum: sum + rate }, false);
    }
  }

  /**
   * From now on the group counts its own guarantee, or its guests' where they are more. Throws
   * EXHAUSTED and changes nothing for a ceil under its guests' guarantees, and over the capacity.
   */
  limitGroup(group: string, limits: GroupLimits | null): void {
    const { sum } = this.#share(group);
    if (limits && sum > limits.ceil) {
      const [ceil, given] = [limits.ceil, sum].map(formatBandwidth);
      const text = `group ${group} cannot be limited to ${ceil}: its guests are guaranteed ${given}`;
      throw new ForknetError("ERR_FORKNET_EXHAUSTED", text);
    }
    this.#put(group, { limits, sum }, true);
  }

  /** Goes back to what held before, or takes over what holds already: nothing is refused. */
  restoreGroup(group: string, limits: GroupLimits | null): void {
    this.#put(group, { limits, sum: this.#share(group).sum }, false);
  }

  #share(group: string): Share {
    return this.#shares.get(group) ?? { limits: null, sum: 0 };
  }

  #put(group: string, share: Share, isChecked: boolean): void {
    const more = counted(share) - counted(this.#share(group));
    this.#count(more, isChecked && more > 0);
    if (share.sum === 0 && !share.limits) this.#shares.delete(group);
    else this.#shares.set(group, share);
  }

  #count(more: BitsPerSecond, isChecked: boolean): void {
    if (isChecked && this.#sum + more > this.#capacity)
      throw exhausted("uploadCapacity", this.#capacity, more, this.#sum);
    this.#sum += more;
  }
}

function counted({ limits, sum }: Share): BitsPerSecond {
  return Math.max(limits?.rate ?? 0, sum);
}

function exhausted(what: string, bound: number, wished: number, given: number): ForknetError {
  const [most, more, sum] = [bound, wished, given].map(formatBandwidth);
  const text = `${what} ${most} cannot guarantee ${more} more: ${sum} are given out`;
  return new ForknetError("ERR_FORKNET_EXHAUSTED", text);
}
