// The sum of the guests' guaranteed upload rates against the capacity they share. HTB serves
// guarantees before it looks at any parent, so a sum over the capacity would silently break the
// capacity instead of the guarantees.

import { type BitsPerSecond, formatBandwidth } from "./bandwidth.js";
import { ForknetError } from "./errors.js";

export class Guarantees {
  readonly #capacity: BitsPerSecond;
  #sum = 0;

  constructor(capacity: BitsPerSecond) {
    this.#capacity = capacity;
  }

  /**
   * Replaces one guest's guarantee (0 for none) by another; throws EXHAUSTED and changes nothing
   * when over.
   */
  change(from: BitsPerSecond, to: BitsPerSecond): void {
    const sum = this.#sum - from + to;
    if (to > from && sum > this.#capacity) {
      const [capacity, wished, given] = [this.#capacity, to - from, this.#sum].map(formatBandwidth);
      const text = `uploadCapacity ${capacity} cannot guarantee ${wished} more: ${given} are given out`;
      throw new ForknetError("ERR_FORKNET_EXHAUSTED", text);
    }
    this.#sum = sum;
  }

  /** Counts a guest that runs already, whatever the sum. */
  adopt(rate: BitsPerSecond): void {
    this.#sum += rate;
  }
}
