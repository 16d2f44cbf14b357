// The guests with traffic, as the campaign sees them: who has its TAP open, who lost it, and whether anybody got more than
// its limits.

import { hasTraffic } from "./churn.mjs";
import { nowMs } from "./journal.mjs";
import type { PlainAllocation } from "./life.js";
import { Meter } from "./meter.js";
import type { Model } from "./model.js";
import { Traffic } from "./traffic.js";

const GATEWAY_MAC = "02:00:0a:64:00:01";
const SAMPLE_MS = 100;

export class PluggedGuests {
  readonly #model: Model;
  readonly #meter: Meter;
  readonly #sampling: NodeJS.Timeout;
  readonly #traffic: Traffic;
  readonly #lost: string[] = [];
  /** Ifindexes of TAPs that their guests have open. */
  readonly #open = new Set<number>();

  /** `opened` is told of every TAP that a guest has opened. */
  constructor(shaper: string, model: Model, opened: (ifindex: number) => void) {
    this.#model = model;
    this.#meter = new Meter(shaper);
    this.#traffic = new Traffic({
      plugged: (ifindex) => {
        this.#open.add(ifindex);
        opened(ifindex);
        const guest = this.#model.liveGuests().find((one) => one.ifindex === ifindex);
        if (guest) this.#measure(guest);
      },
      lost: (id, ifindex, reason) => {
        this.#open.delete(ifindex);
        if (this.#model.mustLive(id, ifindex)) this.#lost.push(`${id}: ${reason}`);
      },
    });
    this.#sampling = setInterval(() => this.#meter.sample(nowMs), SAMPLE_MS);
  }

  /** Resolves when the guests' process can take TAPs. */
  async ready(): Promise<void> {
    await this.#traffic.count();
  }

  get frames() {
    return this.#traffic.total;
  }

  get metered() {
    return this.#meter.total;
  }

  has(ifindex: number): boolean {
    return this.#open.has(ifindex);
  }

  /** Gives a guest its TAP, if it is one with traffic that has none yet. */
  plug(guest: PlainAllocation): void {
    const { instanceId: id, ifindex, state, tap, ip, mac, gateway } = guest;
    if (!hasTraffic(id) || state !== "active" || this.#traffic.holds(ifindex)) return;
    const self = guest.guest ?? { ip, mac, gateway, gatewayMac: GATEWAY_MAC };
    this.#traffic.plug({ id, tap, ifindex, ip, gateway, self });
  }

  /** Its limits count no more. */
  end(id: string, atMs: number): void {
    this.#meter.end(id, atMs);
  }

  /** The limits of these count from now on: a new life of the driver has begun. */
  measureAgain(guests: readonly PlainAllocation[]): void {
    for (const guest of guests) this.#measure(guest);
  }

  /** Guests among these that do not get a frame through both ways. */
  silent(guests: readonly PlainAllocation[], isOver: () => boolean): Promise<string[]> {
    const withTraffic = guests.filter(({ instanceId }) => hasTraffic(instanceId));
    return this.#traffic.silent(withTraffic, isOver);
  }

  /** TAPs that were lost, and windows over a limit, each told once. */
  takeProblems(baseLimit: number): string[] {
    const excesses = this.#meter.judgeAll((id) => this.#model.spellsOf(id), baseLimit);
    return [...this.#lost.splice(0), ...excesses];
  }

  async stop(): Promise<void> {
    clearInterval(this.#sampling);
    this.#meter.close();
    await this.#traffic.end();
  }

  #measure({ instanceId: id, ifindex, classId }: PlainAllocation): void {
    const minor = Number.parseInt(classId.slice(2), 16);
    this.#meter.begin({ id, ifindex, minor, fromMs: nowMs() });
  }
}
