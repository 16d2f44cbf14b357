// The work: guests that are forked and released, some with a change of limits or a standby in between, many at once.

/** @typedef {import("../dist/index.js").Network} Network */

/** Guests under way at once. With the pool and the residents they stay below what the subnet has. */
const GUESTS_AT_ONCE = 48;
/** Guests that stay from the first cycle to the last. */
const RESIDENTS = 8;
/** More than there ever are later: the list of free classes and the store reach their sizes in the warm-up. */
const PEAK = 2 * GUESTS_AT_ONCE;

const RATES = /** @type {const} */ (["1mbit", "5mbit", "20mbit", "100mbit", "1gbit"]);

/** What happens to a guest between its fork and its release, and in how many of 100 cycles. */
const COURSES = /** @type {const} */ ([
  ["released at once", 35],
  ["shaped", 30],
  ["limits changed", 15],
  ["standby and restore", 10],
  ["standby, restore under another TAP name", 5],
  ["released from standby", 5],
]);

/** @typedef {(typeof COURSES)[number][0]} Course */

export class Load {
  /** How often each course was taken. @type {Record<string, number>} */
  courses = Object.fromEntries(COURSES.map(([name]) => [name, 0]));
  #serial = 0;
  #network;
  #random;

  /**
   * @param {Network} network
   * @param {() => number} random 0 to 1
   */
  constructor(network, random) {
    this.#network = network;
    this.#random = random;
  }

  get residents() {
    return RESIDENTS;
  }

  /** The largest crowd there will be, all in standby for a moment, and then the residents. */
  async warmUp() {
    const ids = Array.from({ length: PEAK }, () => this.#nextId());
    await Promise.all(ids.map((id) => this.#fork(id)));
    await Promise.all(ids.map((id) => this.#network.standbyAllocation(id)));
    await Promise.all(ids.map((id) => this.#network.releaseAllocation(id)));
    for (let i = 0; i < RESIDENTS; i++) await this.#fork(`resident-${i}`);
  }

  /** Does so many cycles; resolves when no call is under way. @param {number} cycles */
  async run(cycles) {
    let left = cycles;
    const worker = async () => {
      while (left-- > 0) await this.#cycle();
    };
    await Promise.all(Array.from({ length: GUESTS_AT_ONCE }, worker));
  }

  /** The residents' identities and TAPs, to be compared with later ones. */
  describeResidents() {
    return this.#network
      .listAllocations()
      .filter(({ instanceId }) => instanceId.startsWith("resident-"))
      .map(({ instanceId, ip, mac, tap, ifindex, state }) =>
        [instanceId, ip, mac, tap, ifindex, state].join(" "),
      )
      .sort();
  }

  async #cycle() {
    const network = this.#network;
    const id = this.#nextId();
    const course = this.#chooseCourse();
    this.courses[course] = (this.courses[course] ?? 0) + 1;
    const allocation = await this.#fork(id);
    switch (course) {
      case "released at once":
        break;
      case "shaped":
        await allocation.shaped;
        break;
      case "limits changed":
        await network.updateLimits(id, { download: this.#rate(), upload: this.#rate() });
        await this.#changeResident();
        break;
      case "standby and restore":
        await network.standbyAllocation(id);
        await network.recreateAllocation(id, { download: this.#rate() });
        break;
      case "standby, restore under another TAP name":
        await network.standbyAllocation(id);
        await network.recreateAllocation(id, { tapName: `r-${this.#serial++}` });
        break;
      case "released from standby":
        await network.standbyAllocation(id);
        break;
    }
    await network.releaseAllocation(id);
  }

  /** @param {string} id */
  #fork(id) {
    return this.#network.createAllocation({
      instanceId: id,
      instanceName: id,
      download: this.#rate(),
      upload: this.#rate(),
    });
  }

  #changeResident() {
    const id = `resident-${Math.floor(this.#random() * RESIDENTS)}`;
    return this.#network.updateLimits(id, { download: this.#rate(), upload: this.#rate() });
  }

  #nextId() {
    return `vm-${++this.#serial}`;
  }

  #rate() {
    return RATES[Math.floor(this.#random() * RATES.length)] ?? RATES[0];
  }

  /** @returns {Course} */
  #chooseCourse() {
    let left = this.#random() * 100;
    for (const [name, share] of COURSES) {
      left -= share;
      if (left < 0) return name;
    }
    return "shaped";
  }
}

/**
 * The same numbers for the same seed (xorshift, 32 bits).
 * @param {number} seed
 * @returns {() => number}
 */
export function randomFrom(seed) {
  let state = (seed ^ 0x9e37_79b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}
